/** How a worker with nothing to do waits, between two receives on the way of its tasks. */
import type { Clock, TimerHandle } from "../../clock.ts";
import type { Database } from "./database.ts";

/** Waits for the next commit of anybody, a time, or one of some signals, whichever is first. */
export class Changes {
  readonly #clock: Clock;
  readonly #signals: readonly AbortSignal[];
  readonly #unsubscribe: () => void;
  readonly #happened = () => this.#wake?.();
  #seen = false;
  #wake: (() => void) | undefined;

  constructor(db: Database, clock: Clock, signals: readonly AbortSignal[]) {
    this.#clock = clock;
    this.#signals = signals;
    this.#unsubscribe = db.wakeUp.subscribe(() => {
      this.#seen = true;
      this.#happened();
    });
    for (const signal of signals) signal.addEventListener("abort", this.#happened);
  }

  /** From here on a change counts for the next wait. @throws The reason of a signal that was given. */
  begin(): void {
    this.#seen = false;
    for (const signal of this.#signals) signal.throwIfAborted();
  }

  async next(ms: number): Promise<void> {
    if (this.#seen || this.#signals.some((signal) => signal.aborted)) return;
    let timer: TimerHandle;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (ms < Infinity) timer = this.#clock.after(ms, resolve);
    });
    this.#wake = undefined;
    this.#clock.cancel(timer);
  }

  end(): void {
    this.#unsubscribe();
    for (const signal of this.#signals) signal.removeEventListener("abort", this.#happened);
  }
}
