/**
 * Where a worker meets its broker: **receive** and **settle** are one step, `Receiver.exchange`, because the step that
 * settles finished work can bring the next. Several are under way at once; each takes all that is finished by then.
 */
import { type Clock, sleep, type TimerHandle } from "../clock.ts";
import { isReady } from "../protocol/result_meta.ts";
import { secondCopy, type WireMessage } from "../protocol/wire_message.ts";
import type { ResultStore } from "../results/result_store.ts";
import type { Delivery, Receiver, Settlement } from "../transport/transport.ts";
import type { StateWriter } from "./state_writer.ts";

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5_000;

/** What an exchange asks of the worker around it. */
export interface ExchangeOptions {
  readonly receiver: Receiver;
  readonly results: ResultStore;
  /** Publishes what follows tasks whose results are stored elsewhere than their messages. */
  publish(messages: readonly WireMessage[]): Promise<void>;
  readonly clock: Clock;
  readonly random: () => number;
  /** Steps under way at once, where the broker bears as many. */
  readonly width: number;
  /** How many deliveries there is room for now. */
  room(): number;
  /** Whether some of it should be filled now; otherwise a step may wait a moment to carry more. */
  hungry(): boolean;
  receive(deliveries: Delivery[]): void;
  /** The queues had nothing ready just now. */
  empty(): void;
  /** The broker was lost (with why) or is back (with nothing): said once at each change. */
  trouble(error: unknown | undefined): void;
}

export class Exchange {
  readonly #options: ExchangeOptions;
  readonly #abort = new AbortController();
  /** Ends the tries of steps that only fetch. */
  readonly #noFetch = new AbortController();
  /** Set by the worker, which writes through {@linkcode Exchange.retry}. */
  states: StateWriter | undefined;
  #finished: Settlement[] = [];
  #underWay = 0;
  #asked = 0;
  #fetching = false;
  #nothingReady = false;
  /** How many that are not settled yet are followed by others, perhaps for the queues that are served here. */
  #followed = 0;
  #inTrouble = false;
  #gathering: TimerHandle | undefined;
  #whenIdle: (() => void)[] = [];

  constructor(options: ExchangeOptions) {
    this.#options = options;
  }

  /** Begins to fetch. */
  start(): void {
    this.#fetching = true;
    this.pump();
  }

  /** Fetches no more; what is finished is still settled. */
  stopFetching(): void {
    this.#fetching = false;
    this.#noFetch.abort(new Error("the worker stops"));
  }

  /** Gives up: steps that wait for a broker that is away end undone. */
  abort(): void {
    this.stopFetching();
    this.#abort.abort(new Error("the worker was ended"));
  }

  /** Adds what is finished; {@linkcode Exchange.pump} sends it. */
  settle(settlement: Settlement): void {
    if (settlement.follow !== undefined) this.#followed++;
    this.#finished.push(settlement);
  }

  /** Whether the queues held nothing ready when they were last asked, have not called since, and owe no answer. */
  get nothingReady(): boolean {
    return this.#nothingReady && this.#asked === 0 && this.#followed === 0;
  }

  /** Whether something is under way or waits to be. */
  get busy(): boolean {
    return this.#underWay > 0 || this.#finished.length > 0;
  }

  /** Resolves once everything that was finished is settled. */
  idle(): Promise<void> {
    if (!this.busy) return Promise.resolve();
    return new Promise((resolve) => this.#whenIdle.push(resolve));
  }

  /** Starts as many steps as there is work for, or lets it gather for a moment. */
  pump(): void {
    const { batch } = this.#options.receiver.pace;
    if (!this.#fetching || this.#finished.length >= batch || this.#options.hungry()) this.#start();
    else if (this.#finished.length > 0) this.#gather();
  }

  #gather(): void {
    const { clock, receiver } = this.#options;
    this.#gathering ??= clock.after(receiver.pace.gather, () => {
      this.#gathering = undefined;
      this.#start(1);
    });
  }

  /** Starts steps, of which those beside another that is under way carry `least`. */
  #start(least = this.#options.receiver.pace.least ?? 1): void {
    const { batch, width } = this.#options.receiver.pace;
    while (this.#underWay < Math.min(width, this.#options.width)) {
      // What comes when nothing is ready is told by the broker, so what only settles need not look for it.
      const fetches = this.#fetching && !this.#nothingReady;
      const room = fetches ? Math.min(batch, this.#options.room() - this.#asked) : 0;
      if (this.#finished.length === 0 && room <= 0) break;
      if (this.#underWay > 0 && this.#finished.length < least && room < least) {
        this.#gather();
        break;
      }
      const settlements = this.#finished.length <= batch ? this.#finished : this.#finished.slice(0, batch);
      this.#finished = this.#finished.length <= batch ? [] : this.#finished.slice(batch);
      void this.#step(settlements, Math.max(0, room));
    }
    if (!this.busy) { for (const resolve of this.#whenIdle.splice(0)) resolve(); }
  }

  /** Runs `run` until it succeeds, with growing pauses while the broker is away. @throws The signal's reason. */
  retry = async <T>(run: () => Promise<T>, signal = this.#abort.signal): Promise<T> => {
    const { clock, random, trouble } = this.#options;
    for (let pause = FIRST_PAUSE_MS;; pause = Math.min(LONGEST_PAUSE_MS, pause * 2)) {
      signal.throwIfAborted();
      try {
        const value = await run();
        if (this.#inTrouble) {
          this.#inTrouble = false;
          trouble(undefined);
        }
        return value;
      } catch (error) {
        if (!this.#inTrouble && !signal.aborted) {
          this.#inTrouble = true;
          trouble(error);
        }
        await sleep(clock, pause * (0.5 + random()), signal);
      }
    }
  };

  /** Publishes what follows until the broker has it. @throws When the worker was ended before. */
  async publish(messages: readonly WireMessage[]): Promise<void> {
    let next = messages;
    await this.retry(async () => {
      const now = next;
      next = messages.map(secondCopy);
      await this.#options.publish(now);
    });
    this.#nothingReady = false;
  }

  async #step(settlements: Settlement[], room: number): Promise<void> {
    this.#underWay++;
    this.#asked += room;
    let deliveries: Delivery[] = [];
    const followed = settlements.filter(({ follow }) => follow !== undefined).length;
    try {
      const { signal } = settlements.length > 0 ? this.#abort : this.#noFetch;
      deliveries = await this.retry(() => this.#exchange(settlements, this.#fetching ? room : 0), signal);
    } catch {
      // Only a stop or the abort ends a retry. What was not settled stays with the broker, which restores it.
    } finally {
      this.#underWay--;
      this.#asked -= room;
    }
    if (followed > 0 || deliveries.length > 0) this.#nothingReady = false;
    this.#followed -= followed;
    if (deliveries.length > 0) this.#options.receive(deliveries);
    if (room > 0 && this.#fetching && (deliveries.length === 0 || this.#options.receiver.tookAll)) {
      this.#awaitArrival();
    }
    this.pump();
  }

  async #exchange(settlements: Settlement[], room: number): Promise<Delivery[]> {
    const { receiver } = this.#options;
    if (settlements.length > 0) {
      await this.states?.written();
      if (!receiver.storesResults) await this.#storeApart(settlements);
    }
    return await receiver.exchange(settlements, room);
  }

  /**
   * Stores results elsewhere than where they are acknowledged. What follows a task is published before its final result is
   * stored, and its message is done with after that; a state that is not final comes before all, so that it does not take
   * the place of what becomes of the message that follows.
   */
  async #storeApart(settlements: Settlement[]): Promise<void> {
    const { results } = this.#options;
    const follow = settlements.flatMap((settlement) => followsFinal(settlement) ? settlement.follow! : []);
    if (follow.length > 0) {
      await this.publish(follow);
      // When this step is tried again they are not published once more.
      settlements.forEach((settlement, i) => {
        if (followsFinal(settlement)) settlements[i] = { ...settlement, follow: undefined };
      });
    }
    const stored = settlements.flatMap(({ result }) => result ?? []);
    if (stored.length > 0) await results.store(stored);
  }

  #awaitArrival(): void {
    if (!this.#nothingReady) {
      this.#nothingReady = true;
      this.#options.receiver.arrival(this.#abort.signal).then(
        () => {
          this.#nothingReady = false;
          this.pump();
        },
        () => {},
      );
    }
    this.#options.empty();
  }
}

/** Whether anything follows a task whose result is final. */
function followsFinal({ follow, result }: Settlement): boolean {
  return follow !== undefined && result !== undefined && isReady(result.state);
}
