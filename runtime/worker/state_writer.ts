/**
 * States stored while a task runs (STARTED, a task's own) and the results of tasks that were acknowledged before
 * their run. They go to the store beside the steps that settle, in batches, one at a time and in order.
 */
import type { ResultStore, StoredResult } from "../results/result_store.ts";

/** More than this waiting means that the store is away: the oldest states that are no results are dropped. */
const LIMIT = 10_000;
const FINAL = new Set(["SUCCESS", "FAILURE", "REVOKED"]);

/** Writes states to a store, with a retry that its owner brings along. */
export class StateWriter {
  readonly #store: ResultStore;
  readonly #retry: <T>(run: () => Promise<T>) => Promise<T>;
  #waiting: StoredResult[] = [];
  #writing: Promise<void> | undefined;

  /** `retry` runs a step again until it is done or the worker ends. */
  constructor(store: ResultStore, retry: <T>(run: () => Promise<T>) => Promise<T>) {
    this.#store = store;
    this.#retry = retry;
  }

  /** Writes a state soon. */
  write(state: StoredResult): void {
    if (this.#waiting.length >= LIMIT) {
      this.#waiting = this.#waiting.filter((state) => FINAL.has(state.state));
    }
    this.#waiting.push(state);
    this.#writing ??= this.#write();
  }

  /** Resolves when all is written: a final result that another step stores must not be overtaken. */
  written(): Promise<void> | undefined {
    return this.#writing;
  }

  async #write(): Promise<void> {
    // A turn later, so that what one message from an isolate brings goes out together.
    await Promise.resolve();
    try {
      while (this.#waiting.length > 0) {
        const batch = this.#waiting.splice(0, 256);
        await this.#retry(() => this.#store.store(batch));
      }
    } catch {
      // The worker was ended while the store was away.
      this.#waiting = [];
    }
    this.#writing = undefined;
  }
}
