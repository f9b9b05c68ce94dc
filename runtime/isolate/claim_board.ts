/**
 * The claim board of an isolate: which of the jobs handed to it have started. Between **dispatch** and **run**: the
 * main thread hands jobs over ahead of time, so that an isolate never waits for the next one, and may still take
 * back what has not started, without a message and without a race.
 *
 * One 32-bit word a job in shared memory, beside it the time it started. A word holds the job's generation and its
 * state; both sides change it by compare-and-exchange only, so exactly one of them wins: the isolate (it runs) or
 * the main thread (it is taken back). A slot that is used again carries the next generation, so an entry for its
 * former job that still stands in the isolate's queue claims nothing. (A word a job instead of a range a batch: any
 * job can be taken back alone, and with `--slots 100` batches are small and many.)
 */

const SLOTS = 4096;
const GENERATIONS = 2 ** 29;

const WAITING = 1;
const RUNNING = 2;
const DONE = 3;

const HEADER_WORDS = 2;
const EPOCH_SECONDS = 0;
const LOG_LINES = 1;

/** A job's name on its board: slot and generation in one number. */
export type Job = number;

/** How far a job has come: `gone` when it is finished with or was taken back. */
export type JobState = "waiting" | "running" | "done" | "gone";

/** Both sides' view of one shared board. */
export class ClaimBoard {
  readonly memory: SharedArrayBuffer;
  readonly #header: Int32Array;
  readonly #words: Int32Array;
  readonly #started: Int32Array;
  readonly #epoch: number;

  /** Without `memory` a new board, whose start times count from `now` (ms since 1970). */
  constructor(memory?: SharedArrayBuffer, now = 0) {
    this.memory = memory ?? new SharedArrayBuffer((HEADER_WORDS + 2 * SLOTS) * 4);
    this.#header = new Int32Array(this.memory, 0, HEADER_WORDS);
    this.#words = new Int32Array(this.memory, HEADER_WORDS * 4, SLOTS);
    this.#started = new Int32Array(this.memory, (HEADER_WORDS + SLOTS) * 4, SLOTS);
    if (memory === undefined) this.#header[EPOCH_SECONDS] = Math.floor(now / 1000);
    this.#epoch = this.#header[EPOCH_SECONDS] * 1000;
  }

  /** Isolate: starts `job` at `now` unless it was taken back. */
  claim(job: Job, now: number): boolean {
    const slot = job % SLOTS, generation = Math.floor(job / SLOTS) * 4;
    if (
      Atomics.compareExchange(this.#words, slot, generation | WAITING, generation | RUNNING) !==
        (generation | WAITING)
    ) {
      return false;
    }
    this.#started[slot] = now - this.#epoch;
    return true;
  }

  /** Isolate: `job` has run; its outcome is on its way. */
  done(job: Job): void {
    Atomics.store(this.#words, job % SLOTS, Math.floor(job / SLOTS) * 4 | DONE);
  }

  /** Main thread: lets the isolate claim `job`. */
  offer(job: Job): void {
    Atomics.store(this.#words, job % SLOTS, Math.floor(job / SLOTS) * 4 | WAITING);
  }

  /** Main thread: takes `job` back unless it has started. */
  takeBack(job: Job): boolean {
    const slot = job % SLOTS, waiting = Math.floor(job / SLOTS) * 4 | WAITING;
    return Atomics.compareExchange(this.#words, slot, waiting, 0) === waiting;
  }

  state(job: Job): JobState {
    const word = Atomics.load(this.#words, job % SLOTS);
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
    return this.#epoch + this.#started[job % SLOTS];
  }

  /** Isolate: whether one more log line may be posted; keeps a task that prints without end from filling memory. */
  admitLogLine(limit: number): boolean {
    if (Atomics.load(this.#header, LOG_LINES) >= limit) return false;
    Atomics.add(this.#header, LOG_LINES, 1);
    return true;
  }

  /** Main thread: a log line was written out. */
  logLineWritten(): void {
    Atomics.sub(this.#header, LOG_LINES, 1);
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
