/** Time that a test turns, instead of waiting for it: the clock of `testing.ts`, and of celeriac's own tests. */
import type { Clock, TimerHandle } from "./clock.ts";

// As they are now: a test may replace them later.
const { setImmediate } = globalThis;

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** A clock that stands still until it is advanced. */
export class FakeClock implements Clock {
  #elapsed = 0;
  #wall: number;
  #order = 0;
  readonly #timers = new Set<Timer>();

  /** Starts at `wall`, milliseconds since 1970. */
  constructor(wall: number = Date.UTC(2026, 0, 1)) {
    this.#wall = wall;
  }

  now(): number {
    return this.#wall + this.#elapsed;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  after(ms: number, run: () => void): TimerHandle {
    const timer = { at: this.#elapsed + Math.max(0, ms), order: this.#order++, run };
    this.#timers.add(timer);
    return timer;
  }

  cancel(handle: TimerHandle): void {
    this.#timers.delete(handle as Timer);
  }

  /** How many calls of {@linkcode after} are still to come. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Sets the time written down forward or back, as an administrator may; what is measured goes on. */
  jump(ms: number): void {
    this.#wall += ms;
  }

  /** Lets `ms` milliseconds pass unseen, as for a stopped process: what is overdue runs at the next advance. */
  skip(ms: number): void {
    this.#elapsed += ms;
  }

  /** Lets `ms` milliseconds pass: every timer due runs in its order, and what it started goes on before the next. */
  async advance(ms: number): Promise<void> {
    const end = this.#elapsed + ms;
    await settled();
    for (let timer = this.#next(end); timer !== undefined; timer = this.#next(end)) {
      this.#timers.delete(timer);
      this.#elapsed = Math.max(this.#elapsed, timer.at);
      timer.run();
      await settled();
    }
    this.#elapsed = end;
  }

  #next(end: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.at > end) continue;
      if (next === undefined || timer.at < next.at || timer.at === next.at && timer.order < next.order) {
        next = timer;
      }
    }
    return next;
  }
}

/** Lets everything that is ready to go on do so. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}
