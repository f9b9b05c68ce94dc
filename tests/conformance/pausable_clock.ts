/** The machine's time, with timers that can be stopped as those of a stopped process. */
import { type Clock, systemClock, type TimerHandle } from "../../runtime/clock.ts";

export class PausableClock implements Clock {
  #paused = false;
  #overdue: (() => void)[] = [];

  now = () => systemClock.now();
  monotonic = () => systemClock.monotonic();

  after(ms: number, run: () => void): TimerHandle {
    const timer = { cancelled: false, handle: undefined as TimerHandle };
    const ring = () => {
      if (timer.cancelled) return;
      if (this.#paused) this.#overdue.push(ring);
      else run();
    };
    timer.handle = systemClock.after(ms, ring);
    return timer;
  }

  cancel(handle: TimerHandle): void {
    const timer = handle as { cancelled: boolean; handle: TimerHandle };
    if (timer === undefined) return;
    timer.cancelled = true;
    systemClock.cancel(timer.handle);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    for (const ring of this.#overdue.splice(0)) ring();
  }
}
