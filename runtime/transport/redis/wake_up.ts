/**
 * How an idle worker hears that there is something to fetch, without popping anything to wait and for any number of
 * queues: client tracking. The connection that fetches asks whether any of the queues' lists exists; from then on the
 * server remembers that it asked, and the first change of any of them sends one message to the subscriber's connection.
 *
 * The server forgets this in silence when either connection is made anew, so it is told again on each new one of either;
 * and as a second net an idle worker looks once a second.
 */
import { type Clock, sleep } from "../../clock.ts";
import { isServersAnswer, type RedisConnection } from "./connection.ts";
import type { RedisSubscriber } from "./subscriber.ts";

const INVALIDATIONS = "__redis__:invalidate";
/** Milliseconds after which an idle worker looks although it heard nothing. */
const SAFETY_POLL = 1_000;
/** Milliseconds between two looks at a server without tracking: at first, and when it stays quiet. */
const POLL = { shortest: 5, longest: 100 };
/**
 * A worker that is woken in vain, and was as often before, rests up to 2 ** 8 ms before it listens again: that happens where many
 * others are idle, and then those who do not rest are enough. One that is alone was called for a queue of the same name in another
 * database, because the server's tracking knows no databases: it rests for no longer than makes that bearable.
 */
const MOST_IN_VAIN = { beside: 8, alone: 3 };
/** Milliseconds for which it is taken as known whether it is the only one. */
const COUNT_INTERVAL = 1_000;

export interface WakeUpOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** A channel that each worker of this database listens to. */
  readonly allWorkers: string;
  /** Told once when the server has no tracking. */
  readonly untracked: (why: string) => void;
}

export class WakeUp {
  readonly #commands: RedisConnection;
  readonly #subscriber: RedisSubscriber;
  readonly #lists: readonly string[];
  readonly #options: WakeUpOptions;
  readonly #changed = () => this.#wake();
  /** Invalidations so far. */
  #wakes = 0;
  /** What was asked together with a fetch, and how many invalidations had come by then. */
  #ahead: { readonly wakes: number; readonly something: Promise<boolean> } | undefined;
  /** Whether the last fetch found less than there was room for. */
  #quiet = false;
  readonly #unwatch: (() => void)[];
  #waiters = new Set<() => void>();
  /** The subscriber's connection that this connection's tracking was pointed to. */
  #trackedBy: number | undefined;
  #polling = false;
  /** How often it was woken in vain, less how often it was not. */
  #inVain = 0;
  /** Whether that is how it was woken last: one that has just found something is the one to take the next, too. */
  #rests = false;
  /** Whether it is the only one, and until when that is taken as known. */
  #alone = false;
  #countAgain = 0;
  #woken = false;
  #closed = false;

  constructor(
    commands: RedisConnection,
    subscriber: RedisSubscriber,
    lists: readonly string[],
    options: WakeUpOptions,
  ) {
    this.#commands = commands;
    this.#subscriber = subscriber;
    this.#lists = lists;
    this.#options = options;
    const anew = () => {
      this.#trackedBy = undefined;
      this.#wake();
    };
    this.#unwatch = [commands.watch({ ready: anew, gone: anew }), subscriber.onceMore(anew)];
  }

  /** Opens the subscriber's side. @throws {BrokerUnavailableError} */
  async open(): Promise<void> {
    await this.#subscriber.subscribe([INVALIDATIONS], this.#changed);
  }

  /**
   * A fetch was sent just now. Where it is likely to take all there is, the server is asked in the same breath to watch
   * the lists from then on.
   */
  fetching(): void {
    this.#ahead = undefined;
    const isTracked = this.#trackedBy !== undefined && this.#trackedBy === this.#subscriber.id;
    if (!isTracked || this.#polling || this.#inVain > 1 || !(this.#woken || this.#quiet)) return;
    this.#ahead = { wakes: this.#wakes, something: this.#arm().catch(() => false) };
  }

  /** What the last fetch found: a worker that was woken in vain several times leaves the next message to others. */
  fetched(count: number, room: number): void {
    this.#quiet = count < room;
    this.#rests = this.#woken && count === 0;
    // Not all at once: each message would have its finder wake in vain many times until it rests as long as before.
    if (count > 0) this.#inVain = Math.max(0, this.#inVain - 1);
    else if (this.#woken) this.#inVain = Math.min(this.#inVain + 1, MOST_IN_VAIN.beside);
    this.#woken = false;
  }

  /** Resolves when any of the lists may have something, after `signal` or {@linkcode close} too. */
  async wait(signal: AbortSignal): Promise<void> {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    let asked: Promise<boolean> | undefined;
    if (this.#rests && this.#inVain > 1) {
      if (this.#inVain > MOST_IN_VAIN.alone && await this.#isAlone()) this.#inVain = MOST_IN_VAIN.alone;
      await sleep(this.#options.clock, this.#options.random() * 2 ** this.#inVain, signal).catch(() => {});
    } else if (ahead !== undefined) {
      if (ahead.wakes !== this.#wakes) return void (this.#woken = true);
      asked = ahead.something;
    }
    const changed = this.#next();
    // While it is away nothing can be asked: its return wakes us, and so does the second net.
    const something = !this.#polling && await (asked ?? this.#arm().catch(() => false));
    if (something) this.#woken = true;
    else if (this.#polling) await this.#poll(signal);
    else await this.#either(changed.promise, signal);
    changed.forget();
  }

  close(): void {
    this.#closed = true;
    for (const unwatch of this.#unwatch) unwatch();
    this.#subscriber.unsubscribe([INVALIDATIONS], this.#changed);
    this.#wake();
  }

  #wake(): void {
    this.#wakes++;
    const waiters = this.#waiters;
    this.#waiters = new Set();
    for (const wake of waiters) wake();
  }

  #next(): { promise: Promise<void>; forget(): void } {
    let wake!: () => void;
    const promise = new Promise<void>((resolve) => wake = resolve);
    this.#waiters.add(wake);
    return { promise, forget: () => void this.#waiters.delete(wake) };
  }

  /** Has the server watch the lists for us. Gives whether there is something already. */
  async #arm(): Promise<boolean> {
    const id = this.#subscriber.id;
    if (id === undefined) return false;
    try {
      if (this.#trackedBy !== id) {
        // Only what is asked for with CACHING is tracked, not what the scripts of this connection read.
        await this.#commands.send("client", ["tracking", "on", "redirect", id, "optin"]);
        this.#trackedBy = id;
      }
      // Sent together, so that no other command of this connection comes between them.
      const [, exists] = await Promise.all([
        this.#commands.send("client", ["caching", "yes"]),
        this.#commands.send("exists", [...this.#lists]),
      ]);
      return exists as number > 0;
    } catch (error) {
      const { message } = error as Error;
      // A subscriber that is gone, which its own connection has not noticed yet, comes back.
      if (isServersAnswer(error) && !message.includes("does not exist")) {
        this.#polling = true;
        this.#options.untracked(message);
      }
      throw error;
    }
  }

  /** Whether no other worker of ours is there, as far as the server tells. */
  async #isAlone(): Promise<boolean> {
    const now = this.#options.clock.monotonic();
    if (now >= this.#countAgain) {
      this.#countAgain = now + COUNT_INTERVAL;
      const answer = await this.#commands.send("pubsub", ["numsub", this.#options.allWorkers]).catch(
        () => [],
      );
      // In a cluster it may be none: others may listen to another of its servers.
      this.#alone = (answer as unknown[])[1] === 1;
    }
    return this.#alone;
  }

  /** Until something has changed, or the second net is due, or the signal aborts. */
  #either(changed: Promise<void>, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const over = () => {
        clock.cancel(timer);
        signal.removeEventListener("abort", over);
        resolve();
      };
      const timer = clock.after(SAFETY_POLL * (0.8 + random() * 0.4), over);
      signal.addEventListener("abort", over, { once: true });
      changed.then(() => {
        this.#woken = true;
        over();
      });
    });
  }

  async #poll(signal: AbortSignal): Promise<void> {
    let wait = POLL.shortest;
    while (!signal.aborted && !this.#closed) {
      const found = await this.#commands.send("exists", [...this.#lists]).catch(() => 0) as number;
      if (found > 0) return;
      await sleep(this.#options.clock, wait * (0.5 + this.#options.random()), signal).catch(() => {});
      wait = Math.min(wait * 1.5, POLL.longest);
    }
  }
}
