/** Things that are done again and again while a receiver is open: renewing, looking after others, moving what is due. */
import { type Clock, sleep } from "../../clock.ts";

/** One of them, which can be told to come early. */
export class Rounds {
  readonly #clock: Clock;
  readonly #step: () => Promise<number>;
  readonly #failed: (error: Error) => number;
  readonly #stop = new AbortController();
  #early = new AbortController();
  #done: Promise<void> | undefined;

  /**
   * @param step Does it once; gives the milliseconds until it is to be done again.
   * @param failed Hears of an error; gives the milliseconds until the next try.
   */
  constructor(clock: Clock, step: () => Promise<number>, failed: (error: Error) => number) {
    this.#clock = clock;
    this.#step = step;
    this.#failed = failed;
  }

  /** Begins; the first time comes after `ms` milliseconds. */
  start(ms: number): void {
    this.#done = this.#run(ms);
  }

  /** Does it now, or once more when it is at it. */
  hurry(): void {
    this.#early.abort();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#early.abort();
    await this.#done;
  }

  async #run(ms: number): Promise<void> {
    let wait = ms;
    while (!this.#stop.signal.aborted) {
      await sleep(this.#clock, wait, this.#early.signal).catch(() => {});
      if (this.#stop.signal.aborted) return;
      if (this.#early.signal.aborted) this.#early = new AbortController();
      try {
        wait = await this.#step();
      } catch (error) {
        wait = this.#failed(error as Error);
      }
    }
  }
}
