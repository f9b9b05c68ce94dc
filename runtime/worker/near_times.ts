/**
 * Deliveries whose time comes within seconds wait here, in the main thread (between **receive** and **dispatch**);
 * all others go to the broker's schedule, which costs no memory. Bounded: an overflow is for the schedule, too.
 */
import type { Clock, TimerHandle } from "../clock.ts";
import type { Delivery } from "../transport/transport.ts";

const NEAR_MS = 5_000;
const LIMIT = 1_000;

/** Deliveries that wait for their time. */
export class NearTimes {
  readonly #clock: Clock;
  readonly #due: (delivery: Delivery) => void;
  readonly #waiting = new Map<Delivery, { readonly due: number; readonly handle: TimerHandle }>();

  /** `due` is called with each delivery when its time has come. */
  constructor(clock: Clock, due: (delivery: Delivery) => void) {
    this.#clock = clock;
    this.#due = due;
  }

  /** How many wait. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Keeps a delivery until `due` (ms since 1970), or says no: it is too far away, or too many wait. */
  keep(delivery: Delivery, due: number): boolean {
    const wait = due - this.#clock.now();
    if (wait > NEAR_MS || this.#waiting.size >= LIMIT) return false;
    const handle = this.#clock.after(Math.max(0, wait), () => {
      this.#waiting.delete(delivery);
      this.#due(delivery);
    });
    this.#waiting.set(delivery, { due, handle });
    return true;
  }

  /** All that wait, and when each is due (ms since 1970). */
  list(): { delivery: Delivery; due: number }[] {
    return [...this.#waiting].map(([delivery, { due }]) => ({ delivery, due }));
  }

  /** Gives one up; tells whether it waited here. */
  withdraw(delivery: Delivery): boolean {
    const waiting = this.#waiting.get(delivery);
    if (waiting === undefined) return false;
    this.#clock.cancel(waiting.handle);
    return this.#waiting.delete(delivery);
  }

  /** Gives up all that wait, for a worker that stops. */
  release(): Delivery[] {
    for (const { handle } of this.#waiting.values()) this.#clock.cancel(handle);
    const deliveries = [...this.#waiting.keys()];
    this.#waiting.clear();
    return deliveries;
  }
}
