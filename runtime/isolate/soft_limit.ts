/**
 * The soft time limit of one run: `ctx.signal`. It costs a run that never looks at its signal nothing but this object,
 * and a run without a limit not even that.
 */
import { type Clock, systemClock, type TimerHandle } from "../clock.ts";
import { SoftTimeLimitExceeded } from "../protocol/errors.ts";

/** Longer waits than this a timer can't be set for; whoever looks again later gets the rest. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Counts from its making on. */
export class SoftLimit {
  readonly #seconds: number;
  readonly #clock: Clock;
  readonly #due: number;
  readonly #exceeded: (seconds: number) => void;
  #controller: AbortController | undefined;
  #timer: TimerHandle | undefined;
  #ended = false;

  /** `seconds` may be Infinity. `exceeded` hears once that the signal has aborted. */
  constructor(seconds: number, clock: Clock = systemClock, exceeded: (seconds: number) => void = () => {}) {
    this.#seconds = seconds;
    this.#clock = clock;
    this.#due = clock.monotonic() + seconds * 1000;
    this.#exceeded = exceeded;
  }

  /** Aborts when the limit is over, also for a busy loop that asks for it over and over. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      this.#wait();
    } else if (this.#timer !== undefined && this.#clock.monotonic() >= this.#due) {
      this.#abort();
    }
    return this.#controller.signal;
  }

  /**
   * What a run has failed with. What gives up because of the signal throws its reason or, as many an API of the runtimes
   * does, an `AbortError`: the reason says more.
   */
  reasonOf(error: unknown): unknown {
    const signal = this.#controller?.signal;
    return signal?.aborted && (error as Error | undefined)?.name === "AbortError" ? signal.reason : error;
  }

  /** The run is over: the signal aborts no more. */
  end(): void {
    this.#ended = true;
    this.#stopTimer();
  }

  #wait(): void {
    if (this.#ended || this.#due === Infinity) return;
    const left = this.#due - this.#clock.monotonic();
    if (left <= 0) return this.#abort();
    this.#timer = this.#clock.after(Math.min(left, LONGEST_TIMER_MS), () => this.#wait());
  }

  #abort(): void {
    this.#stopTimer();
    // Celery's has no arguments: what is stored of it is the same.
    this.#controller?.abort(new SoftTimeLimitExceeded(this.#seconds, { args: [] }));
    this.#exceeded(this.#seconds);
  }

  #stopTimer(): void {
    if (this.#timer !== undefined) this.#clock.cancel(this.#timer);
    this.#timer = undefined;
  }
}
