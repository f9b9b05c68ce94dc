/**
 * Time that tests turn themselves. A {@linkcode FakeTime} is the time of one machine; each process on it that a
 * test plays has a {@linkcode FakeClock} of its own, so that one of them can be paused while the others go on.
 */
import type { Clock, TimerHandle } from "../runtime/clock.ts";

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

/** The time that several fake clocks share, each of which can be paused as a stopped process is. */
export class FakeTime {
  readonly #clocks = new Map<FakeClock, { elapsed: number; paused: boolean }>();
  #elapsed = 0;
  readonly #start: number;

  constructor(start: number = Date.UTC(2026, 0, 1)) {
    this.#start = start;
  }

  /** Milliseconds since 1970. */
  now(): number {
    return this.#start + this.#elapsed;
  }

  /** The clock of one more process. */
  clock(): FakeClock {
    const clock = new FakeClock(this.now());
    this.#clocks.set(clock, { elapsed: this.#elapsed, paused: false });
    return clock;
  }

  /** Stops a process: its timers wait until {@linkcode resume}. */
  pause(clock: FakeClock): void {
    this.#clocks.get(clock)!.paused = true;
  }

  /** A stopped process goes on: it finds the time gone on without it, its overdue timers run first. */
  async resume(clock: FakeClock): Promise<void> {
    const state = this.#clocks.get(clock)!;
    state.paused = false;
    clock.skip(this.#elapsed - state.elapsed);
    state.elapsed = this.#elapsed;
    await clock.advance(0);
  }

  /** Lets `ms` milliseconds pass for every process that is not paused, in steps so small that they interleave. */
  async pass(ms: number, step: number = 250): Promise<void> {
    const end = this.#elapsed + ms;
    while (this.#elapsed < end) {
      this.#elapsed = Math.min(end, this.#elapsed + step);
      for (const [clock, state] of this.#clocks) {
        if (state.paused) continue;
        await clock.advance(this.#elapsed - state.elapsed);
        state.elapsed = this.#elapsed;
      }
    }
  }
}

/** Lets everything that is ready to go on do so. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}
