/** How soon an isolate that ended by itself is replaced: beside **dispatch**. */
import type { Clock } from "../clock.ts";

/** Isolates that died lately make the next start wait: 100 ms, 200 ms, ... */
const DEATHS_KEPT_MS = 10_000;
const LONGEST_PAUSE_MS = 10_000;

/** Remembers deaths. */
export class Restarts {
  readonly #clock: Clock;
  #deaths: number[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Counts a death, and tells the pause before the next start in ms. The first few are replaced at once; an isolate that
   * dies again and again must not keep the worker busy.
   */
  pause(): number {
    const now = this.#clock.monotonic();
    this.#deaths = this.#deaths.filter((at) => now - at < DEATHS_KEPT_MS);
    const pause = this.#deaths.length < 3
      ? 0
      : Math.min(LONGEST_PAUSE_MS, 100 * 2 ** (this.#deaths.length - 3));
    this.#deaths.push(now);
    return pause;
  }

  /** Other modules were loaded: what died before says nothing about them. */
  forget(): void {
    this.#deaths = [];
  }
}
