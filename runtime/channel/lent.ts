/**
 * A connection that whoever sends or reads messages borrows: it is opened when it is first needed and closes by itself a
 * moment after its last use, so that a program which closes nothing ends all the same.
 */
import { systemClock, type TimerHandle } from "../clock.ts";

/** Milliseconds without use after which it is closed. */
const KEPT = 1_000;

export class Lent<T extends { close(): Promise<void> }> {
  readonly #open: () => T;
  #value: T | undefined;
  #users = 0;
  #timer: TimerHandle;

  constructor(open: () => T) {
    this.#open = open;
  }

  /** What is lent now, if anything is. */
  get value(): T | undefined {
    return this.#value;
  }

  /** Lends it until {@linkcode Lent.giveBack}. */
  borrow(): T {
    this.#users++;
    systemClock.cancel(this.#timer);
    return this.#value ??= this.#open();
  }

  giveBack(): void {
    if (--this.#users > 0) return;
    this.#timer = systemClock.after(KEPT, () => void this.rest());
  }

  /** Lends it for one piece of work. */
  async use<R>(work: (value: T) => Promise<R>): Promise<R> {
    const value = this.borrow();
    try {
      return await work(value);
    } finally {
      this.giveBack();
    }
  }

  /** Nobody counts as its user any more than before, but it stays until the result is called. */
  keep(): () => void {
    this.#users++;
    systemClock.cancel(this.#timer);
    let kept = true;
    return () => {
      if (!kept) return;
      kept = false;
      if (this.#value === undefined) this.#users--;
      else this.giveBack();
    };
  }

  /** Closes it now, unless somebody uses it. */
  async rest(): Promise<void> {
    if (this.#users > 0) return;
    systemClock.cancel(this.#timer);
    const value = this.#value;
    this.#value = undefined;
    await value?.close();
  }
}
