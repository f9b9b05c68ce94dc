/** How both ends of a line wait for the other one. */
import type { Clock, TimerHandle } from "../clock.ts";

/** Sleeps until it rings. */
export class Alarm {
  #rung = false;
  #wake: (() => void) | undefined;

  /** Ends the sleep, or the next one at once. */
  readonly ring: () => void = () => {
    this.#rung = true;
    this.#wake?.();
  };

  /** Forgets that it has rung. */
  set(): void {
    this.#rung = false;
  }

  /** Resolves when it rings, after `ms` milliseconds, or when the signal aborts. */
  async wait(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
    if (this.#rung || ms <= 0 || signal?.aborted) return;
    let timer: TimerHandle;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = clock.after(ms, resolve);
      signal?.addEventListener("abort", this.ring, { once: true });
    });
    this.#wake = undefined;
    clock.cancel(timer);
    signal?.removeEventListener("abort", this.ring);
  }
}
