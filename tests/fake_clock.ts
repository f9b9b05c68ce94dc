/**
 * Time that tests turn themselves. A {@linkcode FakeTime} is the time of one machine; each process on it that a
 * test plays has a {@linkcode FakeClock} of its own, so that one of them can be paused while the others go on.
 */
import { FakeClock } from "../runtime/fake_clock.ts";

export { FakeClock } from "../runtime/fake_clock.ts";

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
