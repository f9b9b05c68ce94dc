// deno-lint-ignore-file require-await -- the contract is asynchronous; nothing in a process's own memory waits
/**
 * The result store of `memory:` and `memory:NAME`: on a task's way the step settle and the wait of its caller, in one
 * process. All instances opened with the same URL share what is stored.
 */
import { type Clock, systemClock } from "../clock.ts";
import { MemoryChords } from "./memory_chords.ts";
import type { ResultListener, ResultStore, ResultWatch, StoredResult } from "./result_store.ts";

interface Entry {
  readonly text: string;
  readonly success: boolean;
  /** Milliseconds since 1970. */
  readonly expires: number;
}

interface Shelf {
  readonly entries: Map<string, Entry>;
  readonly watches: Set<MemoryWatch>;
  sweep: Iterator<[string, Entry]> | undefined;
  readonly chords: MemoryChords;
}

const shelves = new Map<string, Shelf>();

/** Opens the results that all instances with this URL share in this process. */
export function openMemoryResults(url: string, options: { clock?: Clock } = {}): ResultStore {
  return new MemoryResults(url, options.clock ?? systemClock);
}

/** What {@linkcode openMemoryResults} opens; the memory transport stores through it in the step that settles. */
export class MemoryResults implements ResultStore {
  readonly name: string;
  readonly chords: MemoryChords;
  readonly groups: MemoryChords;
  readonly #clock: Clock;
  readonly #shelf: Shelf;
  readonly #watches = new Set<MemoryWatch>();

  constructor(url: string, clock: Clock) {
    this.name = url;
    this.#clock = clock;
    let shelf = shelves.get(url);
    if (shelf === undefined) {
      const chords = new MemoryChords(clock);
      shelves.set(url, shelf = { entries: new Map(), watches: new Set(), sweep: undefined, chords });
    }
    this.#shelf = shelf;
    this.chords = this.groups = shelf.chords;
  }

  async connect(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
  }

  async store(results: readonly StoredResult[]): Promise<void> {
    for (const result of results) this.put(result);
  }

  /** Stores one state at once. */
  put({ id, state, text, ttl }: StoredResult): void {
    const { entries, watches } = this.#shelf;
    this.#sweepSome();
    if (this.#valid(id)?.success) return;
    const expires = ttl === 0 ? Infinity : this.#clock.now() + ttl * 1000;
    // Taken out first, so that the oldest stand first.
    entries.delete(id);
    entries.set(id, { text, success: state === "SUCCESS", expires });
    for (const watch of watches) watch.tell(id, text);
  }

  /** Looks at two entries for each that is stored: more go than come, and no store waits for a long sweep. */
  #sweepSome(): void {
    const now = this.#clock.now();
    for (let look = 0; look < 2; look++) {
      const next = (this.#shelf.sweep ??= this.#shelf.entries.entries()).next();
      if (next.done) this.#shelf.sweep = undefined;
      else if (next.value[1].expires <= now) this.#shelf.entries.delete(next.value[0]);
    }
  }

  #valid(id: string): Entry | undefined {
    const entry = this.#shelf.entries.get(id);
    return entry !== undefined && entry.expires > this.#clock.now() ? entry : undefined;
  }

  async fetch(ids: readonly string[]): Promise<(string | null)[]> {
    return ids.map((id) => this.#valid(id)?.text ?? null);
  }

  async forget(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.#shelf.entries.delete(id);
  }

  watch(listener: ResultListener): ResultWatch {
    const watch = new MemoryWatch(listener, (id) => this.#valid(id)?.text, () => {
      this.#shelf.watches.delete(watch);
      this.#watches.delete(watch);
    });
    this.#shelf.watches.add(watch);
    this.#watches.add(watch);
    return watch;
  }

  keyOf(id: string): string {
    return `celery-task-meta-${id}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const watch of this.#watches) await watch[Symbol.asyncDispose]();
  }
}

class MemoryWatch implements ResultWatch {
  readonly #ids = new Set<string>();
  readonly #listener: ResultListener;
  readonly #find: (id: string) => string | undefined;
  readonly #close: () => void;

  constructor(listener: ResultListener, find: (id: string) => string | undefined, close: () => void) {
    this.#listener = listener;
    this.#find = find;
    this.#close = close;
  }

  /** In a turn of its own: what a listener does is no part of storing. */
  tell(id: string, text: string): void {
    if (!this.#ids.has(id)) return;
    queueMicrotask(() => {
      if (this.#ids.has(id)) this.#listener(id, text);
    });
  }

  async add(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      this.#ids.add(id);
      const text = this.#find(id);
      if (text !== undefined) this.#listener(id, text);
    }
  }

  remove(ids: readonly string[]): void {
    for (const id of ids) this.#ids.delete(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ids.clear();
    this.#close();
  }
}
