/**
 * The claim board of an isolate: which of the jobs handed to it have started. Between **dispatch** and **run**: the
 * main thread hands jobs over ahead of time, so that an isolate never waits for the next one, and may still take
 * back what has not started, without a message and without a race.
 *
 * One 32-bit word a job in shared memory, beside it the time it started and its hard time limit, so that neither needs a
 * message. A word holds the job's generation and its state; both sides change it by compare-and-exchange only, so exactly one of them wins: the isolate (it runs) or
 * the main thread (it is taken back). A slot that is used again carries the next generation, so an entry for its
 * former job that still stands in the isolate's queue claims nothing. (A word a job instead of a range a batch: any
 * job can be taken back alone, and with `--slots 100` batches are small and many.)
 */

// Taken before task code is there: what that puts in their place would be called with the board in its hands.
const { add, compareExchange, load, store, sub } = Atomics;

const SLOTS = 4096;
const GENERATIONS = 2 ** 29;

const WAITING = 1;
const RUNNING = 2;
const DONE = 3;

/** Words of the header; their bytes are a multiple of 8, as the start times behind them want it. */
const HEADER_WORDS = 4;
const LOG_LINES = 0;
const HAS_LIMITS = 1;
const HEAP_KIB = 2;
const EXCLUSIVE = 3;

/** A job's name on its board: slot and generation in one number. */
export type Job = number;

/** How far a job has come: `gone` when it is finished with or was taken back. */
export type JobState = "waiting" | "running" | "done" | "gone";

/** Both sides' view of one shared board. */
export class ClaimBoard {
  readonly memory: SharedArrayBuffer;
  readonly #header: Int32Array;
  readonly #started: Float64Array;
  readonly #words: Int32Array;
  /** Seconds; any number of them, and exact enough. */
  readonly #limits: Float32Array;

  /** Without `memory` a new board. */
  constructor(memory?: SharedArrayBuffer) {
    const started = HEADER_WORDS * 4, words = started + SLOTS * 8, limits = words + SLOTS * 4;
    this.memory = memory ?? new SharedArrayBuffer(limits + SLOTS * 4);
    this.#header = new Int32Array(this.memory, 0, HEADER_WORDS);
    this.#started = new Float64Array(this.memory, started, SLOTS);
    this.#words = new Int32Array(this.memory, words, SLOTS);
    this.#limits = new Float32Array(this.memory, limits, SLOTS);
  }

  /** Isolate: starts `job` at `now` (ms since 1970) unless it was taken back. */
  claim(job: Job, now: number): boolean {
    const slot = job % SLOTS, generation = Math.floor(job / SLOTS) * 4;
    if (
      compareExchange(this.#words, slot, generation | WAITING, generation | RUNNING) !==
        (generation | WAITING)
    ) {
      return false;
    }
    this.#started[slot] = now;
    return true;
  }

  /** Isolate: `job` has run; its outcome is on its way. */
  done(job: Job): void {
    store(this.#words, job % SLOTS, Math.floor(job / SLOTS) * 4 | DONE);
  }

  /** Main thread: lets the isolate claim `job`. */
  offer(job: Job): void {
    const slot = job % SLOTS;
    this.#limits[slot] = 0;
    store(this.#words, slot, Math.floor(job / SLOTS) * 4 | WAITING);
  }

  /** Main thread: takes `job` back unless it has started. */
  takeBack(job: Job): boolean {
    const slot = job % SLOTS, waiting = Math.floor(job / SLOTS) * 4 | WAITING;
    return compareExchange(this.#words, slot, waiting, 0) === waiting;
  }

  state(job: Job): JobState {
    const word = load(this.#words, job % SLOTS);
    if (word >> 2 !== Math.floor(job / SLOTS)) return "gone";
    switch (word & 3) {
      case WAITING:
        return "waiting";
      case RUNNING:
        return "running";
      case DONE:
        return "done";
      default:
        return "gone";
    }
  }

  /** When a claimed job started, in ms since 1970. */
  startedAt(job: Job): number {
    return this.#started[job % SLOTS];
  }

  /** Isolate: `job` may run for `seconds`. */
  limit(job: Job, seconds: number): void {
    this.#limits[job % SLOTS] = seconds;
    store(this.#header, HAS_LIMITS, 1);
  }

  /** Whether any job ever had a limit. */
  get hasLimits(): boolean {
    return load(this.#header, HAS_LIMITS) !== 0;
  }

  /** How many seconds a claimed job may run; 0 where it has no limit, or its limit is not known yet. */
  limitOf(job: Job): number {
    return this.#limits[job % SLOTS];
  }

  /** Isolate: whether what runs in it shares it with nothing. */
  setExclusive(is: boolean): void {
    store(this.#header, EXCLUSIVE, is ? 1 : 0);
  }

  /** Whether nothing else starts in the isolate until what runs there has ended. */
  get isExclusive(): boolean {
    return load(this.#header, EXCLUSIVE) !== 0;
  }

  /** Isolate: how much memory it uses, in KiB. */
  measureHeap(kib: number): void {
    store(this.#header, HEAP_KIB, Math.min(kib, 2 ** 31 - 1));
  }

  /** What it last measured, in KiB; 0 where it does not measure. */
  get heap(): number {
    return load(this.#header, HEAP_KIB);
  }

  /** Isolate: whether one more log line may be posted; keeps a task that prints without end from filling memory. */
  admitLogLine(limit: number): boolean {
    if (load(this.#header, LOG_LINES) >= limit) return false;
    add(this.#header, LOG_LINES, 1);
    return true;
  }

  /** Main thread: a log line was written out. */
  logLineWritten(): void {
    sub(this.#header, LOG_LINES, 1);
  }
}

/** The main thread's list of free slots of a board: hands out jobs and gets them back. */
export class JobNumbers {
  readonly #free: number[] = Array.from({ length: SLOTS }, (_, i) => SLOTS - 1 - i);
  readonly #generation = new Int32Array(SLOTS);

  /** How many jobs a board holds at the most. */
  static readonly capacity = SLOTS;

  /** A job that no entry of the isolate's queue can be mistaken for. @throws {RangeError} when none is free. */
  take(): Job {
    const slot = this.#free.pop();
    if (slot === undefined) throw new RangeError(`a claim board holds ${SLOTS} jobs, all are taken`);
    this.#generation[slot] = (this.#generation[slot] + 1) % GENERATIONS;
    return this.#generation[slot] * SLOTS + slot;
  }

  /** Frees the job's slot once it is settled or taken back. */
  release(job: Job): void {
    this.#free.push(job % SLOTS);
  }

  /** Where a job's own data may be kept in an array beside the board. */
  static slotOf(job: Job): number {
    return job % SLOTS;
  }
}
