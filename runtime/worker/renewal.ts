/**
 * Isolates that have run as many tasks, or hold as much memory, as one may make room for fresh ones: beside **dispatch**.
 * The fresh one is started while the old one is still at work, and takes over when that has got its last job.
 */
import type { Clock } from "../clock.ts";
import type { Lane } from "./lane.ts";

/** What renewals ask of the pool around them. */
export interface RenewalHost {
  /** Starts an isolate that has no place in the pool yet. */
  start(): Promise<Lane>;
  /** Puts a fresh isolate in the place of an old one, which runs what it has to its end. */
  renew(old: Lane, fresh: Lane): void;
  /** A fresh isolate could not be started; tells for how long to wait, in ms. */
  failed(error: unknown): number;
}

export class Renewals {
  readonly #host: RenewalHost;
  readonly #clock: Clock;
  /** The fresh isolates of lanes that are near their end; undefined while one starts. */
  readonly #fresh = new Map<Lane, Lane | undefined>();

  constructor(host: RenewalHost, clock: Clock) {
    this.#host = host;
    this.#clock = clock;
  }

  /** Looks whether a lane has done enough, or nearly so. */
  look(lane: Lane): void {
    if (!lane.nearsItsEnd) return;
    if (!this.#fresh.has(lane)) return void this.#begin(lane);
    const fresh = this.#fresh.get(lane);
    if (fresh === undefined || !lane.isSpent) return;
    this.#fresh.delete(lane);
    this.#host.renew(lane, fresh);
  }

  /** A lane has left the pool, or a fresh isolate has died before its time. */
  forget(lane: Lane): void {
    this.#fresh.get(lane)?.isolate.terminate();
    this.#fresh.delete(lane);
    for (const [old, fresh] of this.#fresh) if (fresh === lane) this.#fresh.delete(old);
  }

  /** Ends all that have no place yet. */
  close(): void {
    for (const lane of [...this.#fresh.keys()]) this.forget(lane);
  }

  async #begin(lane: Lane): Promise<void> {
    this.#fresh.set(lane, undefined);
    // Forgotten meanwhile: the lane is gone, and nobody waits for this one.
    const isNeeded = () => this.#fresh.has(lane) && this.#fresh.get(lane) === undefined;
    try {
      const fresh = await this.#host.start();
      if (!isNeeded()) return fresh.isolate.terminate();
      this.#fresh.set(lane, fresh);
      this.look(lane);
    } catch (error) {
      if (!isNeeded()) return;
      this.#clock.after(this.#host.failed(error), () => {
        if (isNeeded()) this.#fresh.delete(lane);
      });
    }
  }
}
