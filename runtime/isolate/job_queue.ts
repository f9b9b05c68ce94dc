/**
 * The jobs that were handed to an isolate and have not started: just before **run**. They start in their order, and an
 * exclusive one only where nothing else runs.
 */
import type { Clock } from "../clock.ts";
import { peekTask } from "../protocol/task_message.ts";
import type { ClaimBoard, Job } from "./claim_board.ts";
import type { RegisteredTask } from "./task_definition.ts";

export class JobQueue {
  readonly #board: ClaimBoard;
  readonly #clock: Clock;
  /** Job, text, job, text. */
  readonly #jobs: (number | string)[] = [];
  #head = 0;
  /** Names of tasks that share the isolate with nothing; undefined where no two tasks ever share it. */
  #exclusive: ReadonlySet<string> | undefined;
  /** What started last shares the isolate with nothing. */
  #alone = false;
  /** The job that was claimed last. */
  job: Job = 0;
  /** Its message. */
  text = "";

  constructor(board: ClaimBoard, clock: Clock) {
    this.#board = board;
    this.#clock = clock;
  }

  /** Knows from here on which tasks are exclusive, in an isolate of so many slots. */
  know(tasks: Iterable<RegisteredTask>, slots: number): void {
    const exclusive = [...tasks].filter(({ options }) => options.exclusive).map(({ name }) => name);
    this.#exclusive = exclusive.length > 0 && slots > 1 ? new Set(exclusive) : undefined;
  }

  /** Adds jobs: job, text, job, text. */
  add(jobs: readonly (number | string)[]): void {
    for (let i = 0; i < jobs.length; i++) this.#jobs.push(jobs[i]);
  }

  /** Claims the next job that may start beside `running` others: {@linkcode JobQueue.job}. False where there is none. */
  claim(running: number): boolean {
    while (this.#head < this.#jobs.length) {
      if (this.#exclusive !== undefined && running > 0 && this.#mustWait()) return false;
      this.job = this.#jobs[this.#head++] as Job;
      this.text = this.#jobs[this.#head++] as string;
      if (this.#board.claim(this.job, this.#clock.now())) return true;
    }
    this.#jobs.length = 0;
    this.#head = 0;
    return false;
  }

  /** A task starts, and shares the isolate or does not; or none runs any more. */
  share(alone: boolean): void {
    if (this.#alone === alone) return;
    this.#alone = alone;
    if (this.#exclusive !== undefined) this.#board.setExclusive(alone);
  }

  #mustWait(): boolean {
    if (this.#alone) return true;
    const job = this.#jobs[this.#head] as Job, text = this.#jobs[this.#head + 1] as string;
    // One that was taken back holds up nobody.
    if (this.#board.state(job) !== "waiting") return false;
    return this.#exclusive?.has(peekTask(text)?.task ?? "") ?? false;
  }
}
