/** Reads again after each commit of anybody: how listeners and result watches follow a database file. */
import type { WakeUp } from "./wake_up.ts";

/** Runs a read after changes, one at a time and never too few: a change during a read brings another one. */
export class Follower {
  readonly #read: () => Promise<void>;
  readonly #unsubscribe: () => void;
  #reading: Promise<void> = Promise.resolve();
  #isReading = false;
  #changed = false;
  #closed = false;

  /**
   * `read` reads all that is new; when it fails, what it missed comes with the next change. Who is in no hurry
   * hears of changes a little later, which costs less.
   */
  constructor(wakeUp: WakeUp, read: () => Promise<void>, inHurry = true) {
    this.#read = read;
    this.#unsubscribe = wakeUp.subscribe(() => {
      this.#changed = true;
      if (!this.#isReading) this.#reading = this.#follow();
    }, inHurry);
  }

  async #follow(): Promise<void> {
    this.#isReading = true;
    try {
      while (this.#changed && !this.#closed) {
        this.#changed = false;
        await this.#read();
      }
    } catch {
      // Whoever writes or publishes meets the same error and says it.
    } finally {
      this.#isReading = false;
    }
  }

  /** Follows no more; resolves when the last read is over. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#unsubscribe();
    await this.#reading;
  }
}
