/** Who waits for results: one watch of the store serves all of an app's results. The caller's end of **settle**. */
import { type DecodedResult, decodeResult, isReady } from "../protocol/result_meta.ts";
import type { ResultStore, ResultWatch } from "../results/result_store.ts";

/**
 * What is to be called when a signal aborts. All parts of a group wait with one signal, and a signal's own list of listeners
 * is searched from end to end for each of them.
 */
class Abandonments {
  readonly #known = new WeakMap<
    AbortSignal,
    { readonly each: Set<() => void>; readonly heard: () => void }
  >();

  add(signal: AbortSignal, abandon: () => void): void {
    let known = this.#known.get(signal);
    if (known === undefined) {
      const each = new Set<() => void>();
      known = { each, heard: () => [...each].forEach((abandon) => abandon()) };
      this.#known.set(signal, known);
      signal.addEventListener("abort", known.heard, { once: true });
    }
    known.each.add(abandon);
  }

  remove(signal: AbortSignal, abandon: () => void): void {
    const known = this.#known.get(signal);
    if (known === undefined || !known.each.delete(abandon) || known.each.size > 0) return;
    this.#known.delete(signal);
    signal.removeEventListener("abort", known.heard);
  }
}

interface Waiter {
  readonly id: string;
  readonly resolve: (meta: DecodedResult) => void;
  readonly reject: (error: unknown) => void;
}

/** Hears of each state of a task that is stored, but for those that another one follows at once. */
export type StateListener = (meta: DecodedResult) => void;

/** Waits for final states of tasks, pushed by the store. */
export class ResultWaiter {
  readonly #store: () => Promise<ResultStore>;
  readonly #waiting = new Map<string, Set<Waiter>>();
  readonly #listening = new Map<string, { readonly listeners: Set<StateListener>; last: string }>();
  readonly #abandonments = new Abandonments();
  #watch: Promise<ResultWatch> | undefined;
  /** Waited for no more; what ends in one turn of the event loop is let go of together. */
  #done: string[] = [];

  constructor(store: () => Promise<ResultStore>) {
    this.#store = store;
  }

  /**
   * The final state of a task, whenever it comes.
   * @throws The signal's reason, or what `published` rejects with.
   */
  wait(id: string, signal?: AbortSignal, published?: Promise<void>): Promise<DecodedResult> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const stop = () => {
        this.#remove(waiter);
        reject(signal?.reason);
      };
      const waiter: Waiter = signal === undefined ? { id, resolve, reject } : {
        id,
        resolve: (meta) => {
          this.#abandonments.remove(signal, stop);
          resolve(meta);
        },
        reject: (error) => {
          this.#abandonments.remove(signal, stop);
          reject(error);
        },
      };
      if (signal !== undefined) this.#abandonments.add(signal, stop);
      published?.catch((error) => {
        this.#remove(waiter);
        waiter.reject(error);
      });
      const waiters = this.#waiting.get(id);
      if (waiters !== undefined) waiters.add(waiter);
      else {
        this.#waiting.set(id, new Set([waiter]));
        this.#add(id);
      }
    });
  }

  /** Tells `listener` of the states of a task up to the final one; the result takes it back. */
  listen(id: string, listener: StateListener): () => void {
    const listening = this.#listening.get(id);
    if (listening !== undefined) listening.listeners.add(listener);
    else {
      this.#listening.set(id, { listeners: new Set([listener]), last: "" });
      this.#add(id);
    }
    return () => {
      const { listeners } = this.#listening.get(id) ?? {};
      if (!listeners?.delete(listener) || listeners.size > 0) return;
      this.#listening.delete(id);
      if (!this.#waiting.has(id)) this.#unwatch(id);
    };
  }

  /** Ends the watch; whoever still waits gets `error`. */
  async close(error: Error): Promise<void> {
    for (const waiters of this.#waiting.values()) for (const waiter of waiters) waiter.reject(error);
    this.#waiting.clear();
    this.#listening.clear();
    const watch = this.#watch;
    this.#watch = undefined;
    await watch?.then((watch) => watch[Symbol.asyncDispose](), () => {});
  }

  async #add(id: string): Promise<void> {
    try {
      const watch = await (this.#watch ??= this.#open());
      // Whoever waited may have given up meanwhile.
      if (this.#waiting.has(id) || this.#listening.has(id)) await watch.add([id]);
    } catch (error) {
      this.#listening.delete(id);
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
    const waiters = this.#waiting.get(id) ?? new Set();
    let meta: DecodedResult;
    try {
      meta = decodeResult(text);
    } catch (error) {
      this.#forget(id);
      for (const waiter of waiters) waiter.reject(error);
      return;
    }
    this.#tell(id, text, meta);
    if (!isReady(meta.status)) return;
    this.#forget(id);
    for (const waiter of waiters) waiter.resolve(meta);
  }

  /** A watch may tell of one state twice: as it is stored, and as it is found. */
  #tell(id: string, text: string, meta: DecodedResult): void {
    const listening = this.#listening.get(id);
    if (listening === undefined || listening.last === text) return;
    listening.last = text;
    for (const listener of listening.listeners) listener(meta);
  }

  #remove(waiter: Waiter): void {
    const waiters = this.#waiting.get(waiter.id);
    if (!waiters?.delete(waiter) || waiters.size > 0) return;
    this.#waiting.delete(waiter.id);
    if (!this.#listening.has(waiter.id)) this.#unwatch(waiter.id);
  }

  /** Nothing more will be heard of it. */
  #forget(id: string): void {
    this.#waiting.delete(id);
    this.#listening.delete(id);
    this.#unwatch(id);
  }

  #unwatch(id: string): void {
    if (this.#done.push(id) > 1) return;
    queueMicrotask(() => {
      // Somebody may wait for it again.
      const ids = this.#done.filter((id) => !this.#waiting.has(id) && !this.#listening.has(id));
      this.#done = [];
      void this.#watch?.then((watch) => watch.remove(ids), () => {});
    });
  }
}
