/** How long a caller waits for results, and what it is told when that was not long enough: after **settle**. */

/** What timers can count: 24 days. A longer one would end at once. */
export const LONGEST_TIMER_MS: number = 2 ** 31 - 1;

/** No result came in the time that {@linkcode AsyncResult.get} was given. */
export class ResultTimeoutError extends Error {
  /** Celery's name for it. */
  override readonly name = "TimeoutError";
}

/** How long {@linkcode AsyncResult.get} waits. */
export interface GetOptions {
  /** Seconds. Default: for ever. */
  readonly timeout?: number;
  /** Ends the waiting early; the task goes on. */
  readonly signal?: AbortSignal;
  /** Whether a failed task throws its error; otherwise the error is returned. Default true. */
  readonly propagate?: boolean;
}
