/** What an isolate has finished and not told yet: from **run** to **settle**, several reports a message. */
import { systemClock, type TimerHandle } from "../clock.ts";
import type { Following } from "../protocol/chord.ts";
import type { ClaimBoard, Job } from "./claim_board.ts";
import type { FollowReport } from "./isolate.ts";

/** Reports leave together, but none waits longer than this for tasks that wait for something. */
const REPORT_EVERY_MS = 1;
/** Nor longer than this for tasks that begin at once: they are known to be quick. */
const GATHER_MS = 4;
/**
 * A task that may take longer than this holds back nobody's report: they leave before it starts. Each message costs the
 * main thread more than a few of its reports do.
 */
const QUICK_MS = 5;
/** By how much the memory of a slow run fades with each quick one after it. */
const FADING = 0.98;

/** Gathers reports and posts them. */
export class Reports {
  readonly #board: ClaimBoard;
  readonly #post: (message: (number | string)[]) => void;
  readonly #postFollow: (follow: FollowReport) => void;
  /** The longest a task took lately, in ms, by its name. */
  readonly #slowest = new Map<string, number>();
  #waiting: (number | string)[] = [];
  /** What follows jobs whose reports wait. */
  #follow: (Job | Following)[] = [];
  #busy = 0;
  #last = 0;
  #timer: TimerHandle;

  /** `post` gets `[busy ms, ...reports]`, see `isolate.ts`; `postFollow`, before that, what follows these jobs. */
  constructor(
    board: ClaimBoard,
    post: (message: (number | string)[]) => void,
    postFollow: (follow: FollowReport) => void,
  ) {
    this.#board = board;
    this.#post = post;
    this.#postFollow = postFollow;
  }

  /** Adds what is to be done when a job is settled, before its report. */
  follow(job: Job, following: Following): void {
    this.#follow.push(job, following);
  }

  /** Adds what became of a job. */
  add(job: Job, report: number, id: string, text: string, extra: number | string): void {
    this.#board.done(job);
    this.#waiting.push(job, report, id, text, extra);
  }

  /** Counts a run of `ms` milliseconds. */
  ran(task: string, ms: number): void {
    this.#busy += ms;
    const before = this.#slowest.get(task);
    if (before === undefined || ms > before) this.#slowest.set(task, ms);
    else if (before > QUICK_MS) this.#slowest.set(task, before * FADING);
  }

  /** A run of that task begins: what is finished leaves first, unless it is known to be quick. */
  before(task: string): void {
    if (this.#waiting.length === 0) return;
    const slowest = this.#slowest.get(task);
    if (slowest === undefined || slowest >= QUICK_MS) this.flush();
  }

  /** Posts what has waited long enough at `now` (`systemClock`). */
  flushLate(now: number): void {
    if (now - this.#last >= GATHER_MS) this.flush();
  }

  /** Posts within a millisecond. */
  flushSoon(): void {
    if (this.#waiting.length > 0) this.#timer ??= systemClock.after(REPORT_EVERY_MS, () => this.flush());
  }

  /** Posts what is finished. */
  flush(): void {
    systemClock.cancel(this.#timer);
    this.#timer = undefined;
    if (this.#waiting.length === 0) return;
    if (this.#follow.length > 0) {
      this.#postFollow(this.#follow);
      this.#follow = [];
    }
    this.#post([this.#busy, ...this.#waiting]);
    this.#waiting = [];
    this.#busy = 0;
    this.#last = systemClock.monotonic();
  }

  /** Answers a question for a sign of life. */
  answer(): void {
    this.#post([0]);
  }
}
