/** Who waits for results: one watch of the store serves all of an app's results. The caller's end of **settle**. */
import { type DecodedResult, decodeResult, isReady } from "../protocol/result_meta.ts";
import type { ResultStore, ResultWatch } from "../results/result_store.ts";

interface Waiter {
  readonly id: string;
  readonly resolve: (meta: DecodedResult) => void;
  readonly reject: (error: unknown) => void;
}

/** Waits for final states of tasks, pushed by the store. */
export class ResultWaiter {
  readonly #store: () => Promise<ResultStore>;
  readonly #waiting = new Map<string, Set<Waiter>>();
  #watch: Promise<ResultWatch> | undefined;

  constructor(store: () => Promise<ResultStore>) {
    this.#store = store;
  }

  /** The final state of a task, whenever it comes. @throws The signal's reason. */
  wait(id: string, signal?: AbortSignal): Promise<DecodedResult> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const stop = () => {
        this.#remove(waiter);
        reject(signal?.reason);
      };
      const waiter: Waiter = {
        id,
        resolve: (meta) => {
          signal?.removeEventListener("abort", stop);
          resolve(meta);
        },
        reject: (error) => {
          signal?.removeEventListener("abort", stop);
          reject(error);
        },
      };
      signal?.addEventListener("abort", stop, { once: true });
      const waiters = this.#waiting.get(id);
      if (waiters !== undefined) waiters.add(waiter);
      else {
        this.#waiting.set(id, new Set([waiter]));
        this.#add(id);
      }
    });
  }

  /** Ends the watch; whoever still waits gets `error`. */
  async close(error: Error): Promise<void> {
    for (const waiters of this.#waiting.values()) for (const waiter of waiters) waiter.reject(error);
    this.#waiting.clear();
    const watch = this.#watch;
    this.#watch = undefined;
    await watch?.then((watch) => watch[Symbol.asyncDispose](), () => {});
  }

  async #add(id: string): Promise<void> {
    try {
      const watch = await (this.#watch ??= this.#open());
      // Whoever waited may have given up meanwhile.
      if (this.#waiting.has(id)) await watch.add([id]);
    } catch (error) {
      const waiters = this.#waiting.get(id);
      this.#waiting.delete(id);
      for (const waiter of waiters ?? []) waiter.reject(error);
    }
  }

  #open(): Promise<ResultWatch> {
    const opening = this.#store().then((store) => store.watch((id, text) => this.#heard(id, text)));
    // The store was not to be had: the next who waits tries anew.
    opening.catch(() => this.#watch === opening && (this.#watch = undefined));
    return opening;
  }

  #heard(id: string, text: string): void {
    const waiters = this.#waiting.get(id);
    if (waiters === undefined) return;
    let meta: DecodedResult;
    try {
      meta = decodeResult(text);
    } catch (error) {
      this.#forget(id);
      for (const waiter of waiters) waiter.reject(error);
      return;
    }
    if (!isReady(meta.status)) return;
    this.#forget(id);
    for (const waiter of waiters) waiter.resolve(meta);
  }

  #remove(waiter: Waiter): void {
    const waiters = this.#waiting.get(waiter.id);
    if (waiters?.delete(waiter) && waiters.size === 0) this.#forget(waiter.id);
  }

  #forget(id: string): void {
    this.#waiting.delete(id);
    void this.#watch?.then((watch) => watch.remove([id]), () => {});
  }
}
