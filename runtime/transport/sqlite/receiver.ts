/** A worker's view of queues in a database file: on a task's way, settle and receive as one transaction. */
import type { Clock } from "../../clock.ts";
import { isSqliteResultsOf } from "../../results/sqlite.ts";
import { StoredResults } from "../../results/sqlite/stored_results.ts";
import type { StoredResult } from "../../results/result_store.ts";
import { Lease, type OwnerBeat } from "../lease.ts";
import { takeTurns } from "../turns.ts";
import type {
  Delivery,
  Pace,
  Receiver,
  ReceiverEvents,
  ReceiverOptions,
  Settlement,
  TransportOptions,
} from "../transport.ts";
import { Changes } from "./changes.ts";
import type { Database } from "./database.ts";
import { FETCH_BYTES, FetchStep } from "./fetch_step.ts";
import { Owners } from "./owners.ts";
import { type EncodedMessage, encodeMessage, PublishStep } from "./publish_step.ts";
import { Schedule } from "./schedule.ts";
import { type Buried, SettleStep } from "./settle_step.ts";

/** Milliseconds: the longest that timers of all runtimes can be set to, rounded down to days. */
const MAX_WAIT = 24 * 86_400_000;
/**
 * A step is one transaction, and much of what it costs is its own: so few and large ones, and one at a time, as others
 * would only wait for the write lock. Measured with no-op tasks: 16 to 41 % less processor time a task than with steps of
 * 256 and 128 ahead.
 */
const PACE: Pace = { batch: 1024, ahead: 1024, width: 1, gather: 5 };
/** Messages that one transaction restores at most, and expired results that one drops. */
const SLICE = 250;

/** A delivery in this receiver's hands. */
class Held implements Delivery {
  readonly tag: number;
  readonly queue: string;
  /** Changes when a start is counted. */
  text: string;
  readonly id: number;
  readonly priority: number;
  /** The last transaction that settled it; when that one is rolled back, the next has another number. */
  settledIn = 0;

  constructor(tag: number, queue: string, text: string, id: number, priority: number) {
    this.tag = tag;
    this.queue = queue;
    this.text = text;
    this.id = id;
    this.priority = priority;
  }
}

/** What a transaction has done, to be taken over when it is committed. */
interface Done {
  /** The owner of what was fetched. */
  owner: number;
  readonly settled: Held[];
  readonly fetched: Held[];
  /** Deliveries that others have by now. */
  lost: Held[];
  readonly dead: Buried[];
  restored: number;
}

export class SqliteReceiver implements Receiver {
  readonly pace = PACE;
  readonly storesResults: boolean;
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #limits: TransportOptions;
  readonly #queues: readonly string[];
  readonly #worker: string;
  readonly #events: ReceiverEvents;
  readonly #lease: Lease;
  readonly #closed = new AbortController();
  readonly #held = new Map<string | number, Held>();
  #troubled = false;
  #owner = 0;
  #lastTag = 0;
  #transaction = 0;
  #turn = 0;

  constructor(db: Database, limits: TransportOptions, options: ReceiverOptions) {
    this.#db = db;
    this.#clock = limits.clock;
    this.#limits = limits;
    this.#queues = options.queues;
    this.#worker = options.worker;
    this.#events = options.events;
    this.storesResults = isSqliteResultsOf(options.results, db.path);
    this.#lease = new Lease(limits.clock, limits.lease, {
      renew: () => this.#renew(),
      others: () => this.#others(),
      bury: (dead) => this.#bury(dead),
    }, (error) => this.#trouble(error));
    this.#lease.start();
  }

  async exchange(settlements: readonly Settlement[], room: number): Promise<Delivery[]> {
    this.#closed.signal.throwIfAborted();
    if (settlements.length === 0) {
      // The lock is not asked for when there is nothing to do with it.
      if (room <= 0 || !await this.#db.read(() => this.#hasWork())) return [];
    }
    const follows = settlements.map(({ follow }) => follow?.map(encodeMessage));
    const step = () => this.#settleAndFetch(settlements, follows, room);
    const takeOver = (done: Done) => this.#takeOver(done);
    // What a power cut takes back of a step runs again, with all that came of it; but a message that is acknowledged
    // before it runs must not come back. Such a step fetches nothing that could get lost when the disk fails.
    const done = room > 0 ? await this.#db.writeAhead(step, takeOver) : await this.#db.write(step, takeOver);
    return done.fetched;
  }

  async countStart({ tag }: Delivery): Promise<boolean> {
    this.#closed.signal.throwIfAborted();
    let held: Held | undefined;
    let text: string | undefined;
    // It is for the death of a process, not for a power cut.
    await this.#db.writeAhead(() => {
      const done = this.#begin();
      held = done.lost.length > 0 ? undefined : this.#held.get(tag);
      if (held !== undefined) text = this.#db.part(SettleStep).count(held.id);
      return done;
    }, (done) => {
      this.#takeOver(done);
      if (held !== undefined && text !== undefined) held.text = text;
    });
    return held !== undefined;
  }

  #hasWork(): boolean {
    return this.#db.part(FetchStep).hasReady(this.#queues) ||
      this.#db.part(Schedule).next() <= this.#clock.now();
  }

  /** The transaction: publish what follows, store results, settle, fetch. */
  #settleAndFetch(
    settlements: readonly Settlement[],
    follows: readonly (readonly EncodedMessage[] | undefined)[],
    room: number,
  ): Done {
    const now = this.#clock.now();
    const done = this.#begin();
    const ours: Settlement[] = [];
    const results: StoredResult[] = [];
    for (let index = 0; index < settlements.length; index++) {
      const settlement = settlements[index];
      const held = done.lost.length > 0 ? undefined : this.#held.get(settlement.delivery.tag);
      if (held === undefined || held.settledIn === this.#transaction) continue;
      held.settledIn = this.#transaction;
      done.settled.push(held);
      ours.push(settlement);
      if (settlement.result !== undefined) results.push(settlement.result);
      const follow = follows[index];
      if (follow !== undefined) this.#db.part(PublishStep).publish(follow);
    }
    if (this.storesResults) this.#db.part(StoredResults).put(results, now);
    this.#settle(ours, now, done);
    if (room > 0) this.#fetch(room, now, done);
    return done;
  }

  /** Begins every transaction of this receiver: nobody else can take what it holds until the commit. */
  #begin(): Done {
    this.#transaction++;
    const done: Done = { owner: this.#owner, settled: [], fetched: [], lost: [], dead: [], restored: 0 };
    if (done.owner !== 0 && !this.#db.part(Owners).exists(done.owner)) {
      done.owner = 0;
      done.lost = [...this.#held.values()];
    }
    return done;
  }

  /** Settles what is ours: `done.settled`, in step with `ours`. */
  #settle(ours: readonly Settlement[], now: number, done: Done): void {
    const step = this.#db.part(SettleStep);
    const acknowledged: number[] = [];
    for (let index = 0; index < ours.length; index++) {
      const { outcome, due, reason } = ours[index];
      const held = done.settled[index];
      if (outcome === "ack") acknowledged.push(held.id);
      else if (outcome === "return") step.handBack(held);
      else if (outcome === "again") step.handBackMarked(held);
      else if (outcome === "delay") step.delay(held, due ?? now);
      else if (outcome === "dead") step.bury(held, reason ?? "", now);
      else {
        const died = step.restore(held, this.#limits.maxDeliveries, now);
        if (died !== undefined) done.dead.push(died);
      }
    }
    step.acknowledge(acknowledged);
  }

  #fetch(room: number, now: number, done: Done): void {
    this.#db.part(Schedule).moveDue(now);
    const step = this.#db.part(FetchStep);
    const limits = { maxMessageBytes: this.#limits.maxMessageBytes, now };
    const budget = { bytes: FETCH_BYTES };
    takeTurns(this.#queues, this.#turn++, room, (queue, most) => {
      if (!step.hasReady([queue])) return 0;
      if (done.owner === 0) done.owner = this.#db.part(Owners).add(this.#worker);
      const refused = (reason: string) => void done.dead.push({ queue, reason });
      const taken = step.take(queue, most, done.owner, budget, limits, refused);
      for (const { id, priority, text } of taken) {
        done.fetched.push(new Held(++this.#lastTag, queue, text, id, priority));
      }
      return taken.length;
    });
  }

  /** What the commit has made true. Runs right after it, so that no other exchange sees the old state. */
  #takeOver(done: Done): void {
    this.#owner = done.owner;
    if (done.lost.length > 0) this.#held.clear();
    for (const held of done.settled) this.#held.delete(held.tag);
    for (const held of done.fetched) this.#held.set(held.tag, held);
    if (done.lost.length > 0) this.#events.lost(done.lost);
    for (const { queue, reason, text } of done.dead) {
      this.#events.dead(queue, reason, text === undefined ? undefined : { text });
    }
    if (done.restored > 0) this.#events.restored(done.restored);
    this.#trouble(undefined);
  }

  /** One turn of the lease: renews it, and keeps the house that all workers share. */
  async #renew(): Promise<void> {
    if (this.#held.size > 0) {
      await this.#db.writeAhead(() => {
        const done = this.#begin();
        if (done.owner !== 0) this.#db.part(Owners).renew(done.owner);
        return done;
      }, (done) => this.#takeOver(done));
    }
    await this.#restoreOrphans();
    const now = this.#clock.now();
    const results = this.#db.part(StoredResults);
    if (await this.#db.read(() => this.#db.part(Schedule).next() <= now || results.hasExpired(now))) {
      await this.#db.writeAhead(() => {
        this.#db.part(Schedule).moveDue(now);
        results.sweep(now, SLICE);
      });
    }
    await this.#db.upkeep();
    this.#trouble(undefined);
  }

  async #others(): Promise<OwnerBeat[]> {
    const beats = await this.#db.read(() => this.#db.part(Owners).beats());
    return beats.filter(({ owner }) => owner !== this.#owner);
  }

  async #bury({ owner, beat }: OwnerBeat): Promise<void> {
    await this.#db.writeAhead(() => this.#db.part(Owners).remove(owner, beat));
    await this.#restoreOrphans();
  }

  /** Restores what nobody owns, a slice at a time: after each one, another peer could go on. */
  async #restoreOrphans(): Promise<void> {
    const owners = this.#db.part(Owners);
    while ((await this.#db.read(() => owners.orphans(1))).length > 0) {
      await this.#db.writeAhead(() => {
        const done = this.#begin();
        const now = this.#clock.now();
        for (const orphan of owners.orphans(SLICE)) {
          done.restored++;
          const died = this.#db.part(SettleStep).restore(orphan, this.#limits.maxDeliveries, now);
          if (died !== undefined) done.dead.push(died);
        }
        return done;
      }, (done) => this.#takeOver(done));
    }
  }

  /** Says once that something is wrong, and once that it is right again. */
  #trouble(error: unknown): void {
    if (error === undefined) {
      if (this.#troubled) this.#events.trouble(`${this.#db.path} answers again`);
      this.#troubled = false;
    } else if (!this.#troubled) {
      this.#troubled = true;
      this.#events.trouble(error instanceof Error ? error.message : String(error));
    }
  }

  async arrival(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const changes = new Changes(this.#db, this.#clock, [signal, this.#closed.signal]);
    try {
      for (;;) {
        changes.begin();
        const due = await this.#db.read(() => this.#hasWork() ? 0 : this.#db.part(Schedule).next());
        if (due === 0) return;
        await changes.next(Math.min(due - this.#clock.now(), MAX_WAIT));
      }
    } finally {
      changes.end();
    }
  }

  /** What is still held goes back at once, marked: nobody knows whether it has run in part. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort(new Error(`the receiver of ${this.#worker} is closed`));
    await this.#lease.stop();
    if (this.#owner === 0) return;
    try {
      await this.#db.writeAhead(() => this.#db.part(Owners).remove(this.#owner));
      this.#held.clear();
      await this.#restoreOrphans();
    } catch (error) {
      // Then peers find it unrenewed.
      this.#trouble(error);
    }
  }
}
