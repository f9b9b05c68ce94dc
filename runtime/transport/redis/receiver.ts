/**
 * Receive and settle on Redis: what a worker holds, how it settles it and fetches more, and what it does beside: renew
 * its leases, restore what the dead have left, move back what is due.
 */
import type { ResultStore } from "../../results/result_store.ts";
import { CONTROL_EXCHANGE } from "../../protocol/control_message.ts";
import { encodeEnvelope } from "../../protocol/envelope.ts";
import {
  BrokerUnavailableError,
  type Delivery,
  type Pace,
  type Receiver,
  type ReceiverOptions,
  type Settlement,
  type TransportOptions,
} from "../transport.ts";
import { decodeStrictly, isDoubtful } from "../strict_text.ts";
import type { Argument, RedisConnection } from "./connection.ts";
import { countStartScript } from "./count_start_script.ts";
import { exchangeScript } from "./exchange_script.ts";
import { addToRanges, Held, type HeldDelivery, type Ranges, type Settling } from "./held.ts";
import { prioritySteps, type RedisKeys, stepOf } from "./keys.ts";
import { Lease, renewalInterval } from "./lease.ts";
import { Rounds } from "./rounds.ts";
import { promoteScript } from "./schedule_scripts.ts";
import { SettingAside } from "./set_aside.ts";
import type { RedisSubscriber } from "./subscriber.ts";
import { nameOfTag, tagsOf } from "./tags.ts";
import { Unseen } from "./unseen.ts";
import { WakeUp } from "./wake_up.ts";
import { lookInterval, Watch } from "./watch.ts";

/** Deliveries that one script settles or fetches at most. */
const BATCH = 256;
/** A step costs as much as two tasks, so many small ones would cost more than what they carry. */
const PACE: Pace = { batch: BATCH, ahead: 256, width: 4, gather: 3, least: 96 };
/** Delayed messages of one queue that one script moves back. */
const PROMOTE = 256;
/** Milliseconds until what others delayed is looked for. */
const PROMOTE_INTERVAL = 1_000;

/** What a receiver needs of its transport. */
export interface ReceiverContext {
  readonly commands: RedisConnection;
  readonly subscriber: RedisSubscriber;
  readonly keys: RedisKeys;
  readonly options: TransportOptions;
  /** The store of results, where one script can reach both it and the queues. */
  readonly results?: ResultStore;
  /** Called once it is closed. */
  readonly closed: () => void;
}

export class RedisReceiver implements Receiver {
  readonly storesResults: boolean;
  readonly pace = PACE;
  tookAll = false;
  readonly #context: ReceiverContext;
  readonly #commands: RedisConnection;
  readonly #keys: RedisKeys;
  readonly #options: ReceiverOptions;
  readonly #mine: string;
  readonly #lists: string[];
  readonly #entryEnds: string[];
  readonly #held = new Held();
  readonly #lease: Lease;
  readonly #watch: Watch;
  readonly #wakeUp: WakeUp;
  readonly #settingAside: SettingAside;
  readonly #unseen: Unseen;
  readonly #rounds: Rounds[];
  #closed = false;
  readonly #unwatch: () => void;
  #number = 1;
  #firstInTurn = 0;
  #turn = 0;
  #said = "";
  #away = false;

  constructor(options: ReceiverOptions, context: ReceiverContext) {
    this.#options = options;
    this.#context = context;
    this.#commands = context.commands;
    this.#keys = context.keys;
    this.storesResults = context.results !== undefined;
    this.#mine = tagsOf(options.worker);
    this.#lists = prioritySteps.flatMap((step) =>
      options.queues.map((queue) => this.#keys.list(queue, step))
    );
    this.#entryEnds = options.queues.map((queue) => `,"",${JSON.stringify(queue)}]`);
    const { clock, random, lease, maxDeliveries } = context.options;
    this.#settingAside = new SettingAside(
      this.#commands,
      this.#keys,
      this.#mine,
      maxDeliveries,
      clock,
      context.results,
    );
    this.#unseen = new Unseen(this.#commands, this.#keys, this.#mine, clock, lease);
    this.#lease = new Lease(this.#commands, this.#keys, this.#mine, this.#held, options.events);
    this.#watch = new Watch(
      this.#commands,
      this.#keys,
      this.#mine,
      (tag) => this.#held.get(tag) !== undefined,
      options.events,
      context.options,
    );
    this.#wakeUp = new WakeUp(this.#commands, context.subscriber, this.#lists, {
      clock,
      random,
      allWorkers: this.#keys.channel(CONTROL_EXCHANGE, ""),
      untracked: (why) =>
        options.events.trouble(
          `no client tracking (${why}): this worker asks for new messages again and again instead`,
        ),
    });
    const retry = (ms: number) => (error: Error) => {
      if (!(error instanceof BrokerUnavailableError)) this.#say(error.message);
      return ms;
    };
    const renew = renewalInterval(lease);
    const look = lookInterval(lease);
    this.#rounds = [
      new Rounds(clock, () => this.#lease.renew().then(() => renew), retry(renew / 5)),
      new Rounds(clock, () => this.#look().then(() => look * (0.9 + random() * 0.2)), retry(look)),
      new Rounds(clock, () => this.#promote(), retry(PROMOTE_INTERVAL)),
    ];
    this.#unwatch = this.#commands.watch({
      ready: () => this.#back(),
      gone: (why) => {
        if (!this.#away) options.events.away(this.#commands.place.name, why);
        this.#away = true;
      },
    });
  }

  /** Opens what it waits on, and begins what it does beside. @throws {BrokerUnavailableError} */
  async open(): Promise<void> {
    try {
      await this.#commands.connect();
      await this.#wakeUp.open();
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
    const [renewing, looking, promoting] = this.#rounds;
    renewing.start(renewalInterval(this.#context.options.lease));
    looking.start(0);
    promoting.start(0);
  }

  async exchange(settlements: readonly Settlement[], room: number): Promise<Delivery[]> {
    if (this.#closed) {
      throw new BrokerUnavailableError(`${this.#commands.place.name}: receiver closed`);
    }
    const acks = new Map<number, Settling[]>();
    const others: Settling[] = [];
    const turn = ++this.#turn;
    for (const settlement of settlements) {
      const delivery = this.#held.get(settlement.delivery.tag);
      // Settled before, or twice in this batch.
      if (delivery === undefined || delivery.turn === turn) continue;
      delivery.turn = turn;
      if (settlement.outcome !== "ack") {
        others.push({ settlement, delivery });
        continue;
      }
      // One script stores with one ttl; what stores nothing goes along with any.
      const ttl = this.storesResults && settlement.result !== undefined
        ? settlement.result.ttl
        : acks.keys().next().value;
      const same = acks.get(ttl ?? 0);
      if (same === undefined) acks.set(ttl ?? 0, [{ settlement, delivery }]);
      else same.push({ settlement, delivery });
    }
    if (others.length > 0) await this.#setAside(others);
    // The last script of several fetches too; usually there is one.
    let batch: Settling[] = [];
    for (const group of acks.values()) {
      for (let at = 0; at < group.length; at += BATCH) {
        if (batch.length > 0) await this.#step(batch, 0);
        batch = group.length <= BATCH ? group : group.slice(at, at + BATCH);
      }
    }
    return batch.length > 0 || room > 0 ? this.#step(batch, Math.min(room, BATCH)) : [];
  }

  async countStart({ tag }: Delivery): Promise<boolean> {
    const held = this.#held.get(tag);
    if (held === undefined) return false;
    const name = nameOfTag(this.#mine, held.tag);
    const marked = await this.#commands.run(countStartScript, 1, [this.#keys.unacked, name]) as string | null;
    if (marked === null) this.#lost([held]);
    else held.text = marked;
    return marked !== null;
  }

  async arrival(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#closed) return;
    await this.#wakeUp.wait(signal);
    signal.throwIfAborted();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#unwatch();
    this.#wakeUp.close();
    await Promise.all(this.#rounds.map((rounds) => rounds.stop()));
    this.#context.closed();
  }

  /** Acknowledges `batch`, whose results have one ttl, and fetches. */
  async #step(batch: readonly Settling[], room: number): Promise<Delivery[]> {
    const queues = this.#options.queues;
    const ranges: Ranges = [];
    const follow: Argument[] = [];
    const results: string[] = [];
    let follows = 0;
    let ttl = 0;
    for (let i = 0; i < batch.length; i++) {
      const { settlement, delivery } = batch[i];
      addToRanges(ranges, delivery.tag);
      if (settlement.follow !== undefined) {
        for (const message of settlement.follow) {
          follow.push(
            i + 1,
            message.exchange,
            message.routingKey,
            stepOf(message.priority),
            encodeEnvelope(message),
          );
          follows++;
        }
      }
      const result = this.storesResults ? settlement.result : undefined;
      if (result !== undefined) {
        ttl = result.ttl;
        while (results.length < 2 * i) results.push("", "");
        results.push(this.#context.results!.keyOf(result.id), result.text);
      }
    }
    const first = this.#number;
    this.#number += room;
    const args: Argument[] = [this.#keys.unacked, this.#keys.index, ...this.#lists];
    args.push(
      this.#mine,
      room,
      first,
      this.#firstInTurn,
      this.#context.options.maxMessageBytes,
      ranges.length / 2,
      results.length / 2,
      Math.ceil(ttl),
      follows,
      this.#keys.prefix,
    );
    args.push(...this.#entryEnds, ...ranges, ...follow, ...results);
    let answer: string[];
    try {
      const asked = this.#commands.run(exchangeScript, 2 + this.#lists.length, args);
      if (room > 0) this.#wakeUp.fetching();
      answer = await asked as string[];
    } catch (error) {
      for (const { delivery } of batch) delivery.unsure = true;
      if (room > 0) this.#unseen.add(first, first + room - 1);
      throw error;
    }
    const [lost, buried, from] = answer;
    if (lost !== "") {
      this.#lost(lost.split(",").slice(0, -1).map((index) => batch[Number(index) - 1].delivery));
    }
    for (let i = 0; i < batch.length; i++) this.#held.delete(batch[i].delivery.tag);
    if (buried !== "") this.#tellBuried(buried);
    if (room === 0) return [];
    const count = answer.length - 3;
    this.#wakeUp.fetched(count, room);
    this.tookAll = count < room && buried === "";
    const deliveries: HeldDelivery[] = [];
    const runs = from.split(",");
    for (let run = 0; deliveries.length < count; run += 2) {
      const list = Number(runs[run]);
      const step = Math.floor(list / queues.length);
      const queue = list - step * queues.length;
      const end = deliveries.length + Number(runs[run + 1]);
      for (let i = deliveries.length; i < end; i++) {
        deliveries.push(this.#held.add((first + i) * 10 + step * 3, queues[queue], answer[3 + i]));
      }
      this.#firstInTurn = (queue + 1) % queues.length;
    }
    const texts = await this.#onlyText(deliveries);
    // Where all it took were dead letters there may be more: an empty answer says that nothing is ready.
    return texts.length === 0 && (count > 0 || buried !== "") ? this.#step([], room) : texts;
  }

  /** Puts messages to the dead letters that are not UTF-8: as text they would be other messages. */
  async #onlyText(deliveries: HeldDelivery[]): Promise<HeldDelivery[]> {
    const doubtful = deliveries.filter(({ text }) => isDoubtful(text));
    if (doubtful.length === 0) return deliveries;
    const reason = "not UTF-8";
    let away = doubtful;
    try {
      const names = doubtful.map(({ tag }) => nameOfTag(this.#mine, tag));
      const entries = await this.#commands.sendBytes("hmget", [this.#keys.unacked, ...names]) as (
        | Uint8Array
        | null
      )[];
      const wrong = doubtful.filter((_, i) =>
        entries[i] !== null && decodeStrictly(entries[i]) === undefined
      );
      await this.#setAside(
        wrong.map((delivery) => ({ delivery, settlement: { delivery, outcome: "dead", reason } })),
      );
      for (const { queue } of wrong) this.#options.events.dead(queue, reason);
      away = wrong;
    } catch (error) {
      if (!(error instanceof BrokerUnavailableError)) throw error;
      for (const { tag } of doubtful) {
        this.#held.delete(tag);
        this.#unseen.add(Math.floor(tag / 10), Math.floor(tag / 10));
      }
    }
    return away.length === 0 ? deliveries : deliveries.filter((delivery) => !away.includes(delivery));
  }

  /** Settles all but acknowledgements. */
  async #setAside(settling: Settling[]): Promise<void> {
    const { events } = this.#options;
    const { maxDeliveries } = this.#context.options;
    try {
      for await (const { batch, lost, buried } of this.#settingAside.settle(settling)) {
        this.#lost(lost);
        for (const { delivery } of batch) this.#held.delete(delivery.tag);
        for (const { queue, text } of buried) {
          events.dead(queue, `restored ${maxDeliveries} times and never settled`, { text });
        }
        if (batch.some(({ settlement }) => settlement.outcome === "delay")) this.#rounds[2].hurry();
      }
    } catch (error) {
      for (const { delivery } of settling) delivery.unsure = true;
      throw error;
    }
  }

  #lost(deliveries: readonly HeldDelivery[]): void {
    // What a renewal has found lost meanwhile was told then.
    const news = deliveries.filter(({ tag }) => this.#held.get(tag) !== undefined);
    for (const { tag } of news) this.#held.delete(tag);
    const surely = news.filter(({ unsure }) => !unsure);
    if (surely.length > 0) this.#options.events.lost(surely);
  }

  #tellBuried(buried: string): void {
    for (const line of buried.split("\n").slice(0, -1)) {
      const space = line.indexOf(" ");
      this.#options.events.dead(this.#options.queues[Number(line.slice(0, space))], line.slice(space + 1));
    }
  }

  async #look(): Promise<void> {
    await this.#unseen.giveBack();
    await this.#watch.look();
  }

  async #promote(): Promise<number> {
    const wait = await this.#commands.run(promoteScript, 1, [
      this.#keys.schedules,
      this.#keys.prefix,
      PROMOTE,
    ]) as number;
    return wait < 0 ? PROMOTE_INTERVAL : Math.min(Math.max(wait, 1), PROMOTE_INTERVAL);
  }

  #back(): void {
    this.#said = "";
    if (this.#away) this.#options.events.away(this.#commands.place.name, undefined);
    this.#away = false;
    this.#watch.startOver();
    for (const rounds of this.#rounds) rounds.hurry();
  }

  /** Says what is wrong once. */
  #say(trouble: string): void {
    if (trouble === this.#said) return;
    this.#said = trouble;
    this.#options.events.trouble(`${this.#commands.place.name}: ${trouble}`);
  }
}
