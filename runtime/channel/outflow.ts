/**
 * Sending: texts that are to go into a line, in order, in batches, whatever becomes of the connection. Under the producer,
 * and under what tasks send.
 */
import { type Clock, sleep, type TimerHandle } from "../clock.ts";
import { uid } from "../protocol/uid.ts";
import { BrokerUnavailableError } from "../transport/transport.ts";
import { Alarm } from "./alarm.ts";
import { ChannelFullError, type LineWriter } from "./channel.ts";

/** What waiting ends by. */
export interface WaitOptions {
  /** Seconds. Default: for ever. */
  readonly timeout?: number;
  /** Ends it early, with its reason. */
  readonly signal?: AbortSignal;
}

export interface FlowOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** Seconds between two looks where changes are not told. */
  readonly pollInterval: number;
  /** Seconds for which a broker that is away is tried. */
  readonly patience: number;
  /** Seconds without any room after which all that waits to be sent is given up. Default: never. */
  readonly roomPatience?: number;
}

/** Texts, and characters, that one step carries at most. */
const BATCH = { texts: 1_000, length: 1024 * 1024 };
/** Texts that may wait in here. */
const LIMIT = 100_000;
/** Seconds after which one looks although nothing was told. */
const SECOND_NET = 30;

const SHORTEST_LOOK_MS = 5;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;

/** Texts that leave together. */
interface Parcel {
  readonly texts: readonly string[];
  /** How many of them are in the line. */
  stored: number;
  /** Nobody waits for it any more. */
  dropped: boolean;
  resolve(): void;
  reject(error: unknown): void;
}

/** The sending end of one line. */
export class Outflow {
  readonly #line: string;
  readonly #open: () => Promise<LineWriter>;
  readonly #options: FlowOptions;
  readonly #alarm = new Alarm();
  readonly #parcels: Parcel[] = [];
  #writer: LineWriter | undefined;
  #waiting = 0;
  #running: Promise<void> | undefined;
  #sender = uid();
  #next = 1;
  /** Whether what was last pushed may be in the line although nobody said so. */
  #unsure = false;
  /** Milliseconds until one looks again where room is not told: soon at first. */
  #pause = SHORTEST_LOOK_MS;
  /** When it was found full, by the monotonic clock; undefined while there is room. */
  #fullSince: number | undefined;
  #trouble: unknown;

  /** `open` is asked for the line's end when there is something to send. */
  constructor(line: string, open: () => Promise<LineWriter>, options: FlowOptions) {
    this.#line = line;
    this.#open = open;
    this.#options = options;
  }

  /**
   * Resolves when all of `texts` are in the line. All that is sent in one tick goes out together.
   *
   * @throws {ChannelFullError} When there was no room in time, or too much waits already.
   * @throws {BrokerUnavailableError}
   * @throws The signal's reason.
   */
  send(texts: readonly string[], { timeout, signal }: WaitOptions = {}): Promise<void> {
    if (texts.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      if (this.#waiting > 0 && this.#waiting + texts.length > LIMIT) {
        return reject(new ChannelFullError(`${this.#waiting} messages wait to be sent: await sendMessage`));
      }
      let timer: TimerHandle;
      const end = () => {
        this.#options.clock.cancel(timer);
        signal?.removeEventListener("abort", abort);
      };
      const parcel: Parcel = {
        texts,
        stored: 0,
        dropped: false,
        resolve: () => (end(), resolve()),
        reject: (error) => (end(), reject(error)),
      };
      const drop = (error: unknown) => {
        parcel.dropped = true;
        parcel.reject(error);
        this.#alarm.ring();
      };
      const abort = () => drop(signal?.reason);
      signal?.addEventListener("abort", abort, { once: true });
      if (timeout !== undefined && timeout < Infinity) {
        timer = this.#options.clock.after(timeout * 1000, () => drop(this.#late(timeout)));
      }
      this.#parcels.push(parcel);
      this.#waiting += texts.length;
      this.#running ??= Promise.resolve().then(() => this.#run());
    });
  }

  /** Resolves when nothing waits any more. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** Gives up what waits. */
  close(error: unknown): void {
    for (const parcel of this.#parcels) {
      parcel.dropped = true;
      parcel.reject(error);
    }
    this.#alarm.ring();
  }

  async #run(): Promise<void> {
    while (this.#parcels.length > 0) {
      let unwatch;
      try {
        const writer = this.#writer ??= await this.#open();
        this.#alarm.set();
        unwatch = writer.watch(this.#alarm.ring);
        const stored = await this.#push(writer);
        if (stored > 0 || this.#parcels.length === 0) {
          this.#fullSince = undefined;
          this.#pause = SHORTEST_LOOK_MS;
        } else await this.#awaitRoom(writer);
      } catch (error) {
        for (const parcel of this.#parcels.splice(0)) parcel.reject(error);
        this.#waiting = 0;
        this.#fullSince = undefined;
        this.#startAnew();
      } finally {
        unwatch?.();
      }
    }
    // In the turn in which there was nothing left: what is sent in the next one starts it again.
    this.#running = undefined;
  }

  async #awaitRoom(writer: LineWriter): Promise<void> {
    const { clock, random, pollInterval, roomPatience = Infinity } = this.#options;
    const now = clock.monotonic();
    const end = (this.#fullSince ??= now) + roomPatience * 1000;
    if (now >= end) throw noRoom(this.#line, roomPatience);
    const pause = writer.pushes ? SECOND_NET * (800 + random() * 400) : this.#pause;
    this.#pause = Math.min(2 * this.#pause, pollInterval * 1000);
    await this.#alarm.wait(clock, Math.min(pause, end - now));
  }

  /** Pushes one batch, again and again while the broker is away; tells how many of it are stored. */
  async #push(writer: LineWriter): Promise<number> {
    const { clock, random, patience } = this.#options;
    const end = clock.monotonic() + patience * 1000;
    for (let pause = FIRST_PAUSE_MS;; pause = Math.min(LONGEST_PAUSE_MS, pause * 2)) {
      this.#dropGivenUp();
      const texts = this.#batch();
      if (texts.length === 0) return 0;
      try {
        const stored = await writer.push(this.#sender, this.#next, texts);
        this.#next += stored;
        this.#unsure = false;
        this.#trouble = undefined;
        this.#settle(stored);
        return stored;
      } catch (error) {
        this.#unsure = true;
        this.#trouble = error;
        if (!(error instanceof BrokerUnavailableError) || error.permanent || clock.monotonic() >= end) {
          throw error;
        }
      }
      this.#alarm.set();
      await sleep(clock, pause * (0.5 + random()));
    }
  }

  #batch(): string[] {
    const texts: string[] = [];
    let length = 0;
    for (const parcel of this.#parcels) {
      for (let i = parcel.stored; i < parcel.texts.length; i++) {
        const text = parcel.texts[i];
        if (texts.length === BATCH.texts || (length > 0 && length + text.length > BATCH.length)) return texts;
        texts.push(text);
        length += text.length;
      }
    }
    return texts;
  }

  /** The next `stored` texts are in the line. */
  #settle(stored: number): void {
    this.#waiting -= stored;
    let done = 0;
    for (const parcel of this.#parcels) {
      const count = Math.min(stored, parcel.texts.length - parcel.stored);
      parcel.stored += count;
      stored -= count;
      if (parcel.stored < parcel.texts.length) break;
      done++;
      parcel.resolve();
    }
    this.#parcels.splice(0, done);
    this.#dropGivenUp();
  }

  #dropGivenUp(): void {
    if (!this.#parcels.some(({ dropped }) => dropped)) return;
    const left = this.#parcels.filter(({ dropped }) => !dropped);
    this.#parcels.splice(0, this.#parcels.length, ...left);
    this.#waiting = left.reduce((sum, { texts, stored }) => sum + texts.length - stored, 0);
    if (this.#unsure) this.#startAnew();
  }

  /** What comes next must not be taken for what may have been stored before. */
  #startAnew(): void {
    this.#sender = uid();
    this.#next = 1;
    this.#unsure = false;
  }

  #late(timeout: number): unknown {
    if (this.#fullSince !== undefined) return noRoom(this.#line, timeout);
    return this.#trouble ?? new ChannelFullError(`not sent to ${this.#line} within ${timeout} s`);
  }
}

function noRoom(line: string, seconds: number): ChannelFullError {
  return new ChannelFullError(
    `no room in ${line} for ${seconds} s: nobody reads its messages; have them read, or let the oldest go ` +
      `(whenFull: "drop-oldest")`,
  );
}
