/**
 * Reading: texts out of a line, a few ahead of who asks for them, whatever becomes of the connection. Under the consumer,
 * and under what tasks are told.
 */
import { type Clock, sleep } from "../clock.ts";
import { BrokerUnavailableError } from "../transport/transport.ts";
import { Alarm } from "./alarm.ts";
import type { LineReader } from "./channel.ts";
import type { FlowOptions, WaitOptions } from "./outflow.ts";

/** Texts, and characters, that one step brings, about. */
const BATCH = { texts: 1_000, length: 1024 * 1024 };
/**
 * Milliseconds in which a batch is to be read: one that lasts longer makes the next smaller, so that a slow reader which
 * is killed has few in its hands, and a fast one makes few steps.
 */
const PACE = { quick: 20, slow: 100 };
const SECOND_NET = 30;

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;

/** The reading end of one line. */
export class Intake {
  readonly #open: () => Promise<LineReader>;
  readonly #options: FlowOptions;
  /** Of those who wait now. */
  readonly #alarms = new Set<Alarm>();
  #reader: Promise<LineReader> | undefined;
  #texts: string[] = [];
  /** How many of them are handed out. */
  #at = 0;
  #most = 1;
  /** When the last batch came. */
  #since = 0;
  #taking: Promise<void> | undefined;
  /** Whether the broker has been there once: from then on its return is waited for. */
  #met = false;
  #released = false;

  /** `open` is asked for the line's end when something is to be read. */
  constructor(open: () => Promise<LineReader>, options: FlowOptions) {
    this.#open = open;
    this.#options = options;
  }

  /** The next text that is at hand. */
  shift(): string | undefined {
    return this.#at < this.#texts.length ? this.#texts[this.#at++] : undefined;
  }

  /** All texts that are at hand, at most `most`. */
  shiftMany(most: number): string[] {
    const texts = this.#texts.slice(this.#at, this.#at + most);
    this.#at += texts.length;
    return texts;
  }

  /** The last `count` that were handed out were not used. */
  unshift(count: number): void {
    this.#at = Math.max(0, this.#at - count);
  }

  /**
   * Waits until there is something at hand, and tells whether there is: not when it is released. To ask says that what was
   * handed out is done with.
   *
   * @throws {ChannelTakenError} When another reader has taken over.
   * @throws {BrokerUnavailableError}
   * @throws The signal's reason.
   */
  async fill({ timeout = Infinity, signal }: WaitOptions = {}): Promise<boolean> {
    const { clock, random, pollInterval } = this.#options;
    if (this.#released) return false;
    const end = clock.monotonic() + timeout * 1000;
    const reader = await (this.#reader ??= this.#open());
    const alarm = new Alarm();
    const unwatch = reader.watch(alarm.ring);
    this.#alarms.add(alarm);
    try {
      for (;;) {
        alarm.set();
        signal?.throwIfAborted();
        if (this.#released) return false;
        // What another began to take, it may have looked for before this one listened.
        const isOurs = this.#taking === undefined;
        const taking = this.#taking ??= this.#take(reader, end);
        try {
          if (!await over(taking, clock, end - clock.monotonic(), signal)) return false;
        } catch (error) {
          // That one may have had less patience.
          if (isOurs || signal?.aborted) throw error;
        }
        if (this.#at < this.#texts.length) return true;
        if (!isOurs) continue;
        const left = end - clock.monotonic();
        if (left <= 0) return false;
        const pause = reader.pushes ? SECOND_NET * (0.8 + random() * 0.4) : pollInterval;
        await alarm.wait(clock, Math.min(left, pause * 1000), signal);
      }
    } finally {
      this.#alarms.delete(alarm);
      unwatch();
    }
  }

  /** Reads no more: what was handed out is done with, what was not goes back. */
  async release(): Promise<void> {
    this.#released = true;
    for (const alarm of this.#alarms) alarm.ring();
    await this.#taking?.catch(() => {});
    const done = this.#at;
    this.#texts = [];
    this.#at = 0;
    const reader = this.#reader;
    this.#reader = undefined;
    await (await reader)?.release(done);
  }

  async #take(reader: LineReader, end: number): Promise<void> {
    try {
      if (this.#at < this.#texts.length) return;
      this.#setPace();
      const texts = await this.#patiently(end, () => reader.take(this.#most));
      this.#met = true;
      this.#texts = texts;
      this.#at = 0;
      this.#since = this.#options.clock.monotonic();
      if (texts.length > 1) { for (const alarm of this.#alarms) alarm.ring(); }
    } finally {
      this.#taking = undefined;
    }
  }

  #setPace(): void {
    if (this.#texts.length === 0) return;
    const took = this.#options.clock.monotonic() - this.#since;
    if (took > PACE.slow) this.#most = Math.max(1, this.#most >> 1);
    else if (took < PACE.quick && this.#texts.length === this.#most) {
      this.#most = Math.min(2 * this.#most, BATCH.texts);
    }
    const length = this.#texts.reduce((sum, text) => sum + text.length, 0) / this.#texts.length;
    this.#most = Math.max(1, Math.min(this.#most, Math.floor(BATCH.length / Math.max(1, length))));
  }

  async #patiently<T>(end: number, run: () => Promise<T>): Promise<T> {
    const { clock, random, patience } = this.#options;
    const limit = clock.monotonic() + patience * 1000;
    for (let pause = FIRST_PAUSE_MS;; pause = Math.min(LONGEST_PAUSE_MS, pause * 2)) {
      try {
        return await run();
      } catch (error) {
        const hopeless = !(error instanceof BrokerUnavailableError) || error.permanent;
        const now = clock.monotonic();
        if (hopeless || this.#released || now >= end || (!this.#met && now >= limit)) throw error;
      }
      await sleep(clock, pause * (0.5 + random()));
    }
  }
}

/** Milliseconds that a step may take beyond the time that was given. */
const GRACE_MS = 1_000;

/**
 * Resolves with true when `waited` does, with false when it has taken too long: it goes on then.
 * @throws What it rejects with. @throws The signal's reason.
 */
export function over(
  waited: Promise<void>,
  clock: Clock,
  ms: number,
  signal?: AbortSignal,
): Promise<boolean> {
  if (ms === Infinity && signal === undefined) return waited.then(() => true);
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal?.reason);
    signal?.addEventListener("abort", stop, { once: true });
    const timer = ms < Infinity ? clock.after(Math.max(0, ms) + GRACE_MS, () => resolve(false)) : undefined;
    waited.then(() => resolve(true), reject).finally(() => {
      clock.cancel(timer);
      signal?.removeEventListener("abort", stop);
    });
  });
}
