/**
 * The result store of `sqlite:PATH`: on a task's way the step settle and the wait of its caller, in one database file.
 * Where the broker is the same file, its transport stores results in the transaction that settles.
 */
import { type Clock, systemClock } from "../clock.ts";
import { Database } from "../transport/sqlite/database.ts";
import { type DatabaseLocation, locate } from "../transport/sqlite/location.ts";
import type { RevokedIds } from "../transport/revoked_ids.ts";
import { SqliteRevokedIds } from "../transport/sqlite/revoked_ids.ts";
import type { ResultListener, ResultStore, ResultWatch, StoredResult } from "./result_store.ts";
import { SqliteChords } from "./sqlite/chords.ts";
import { StoredResults } from "./sqlite/stored_results.ts";
import { SqliteWatch } from "./sqlite/watch.ts";

/** @throws {BadUrlError} When the URL names no place where a database of ours can be. */
export function openSqliteResults(url: string, options: { clock?: Clock } = {}): ResultStore {
  return new SqliteResults(url, options.clock ?? systemClock);
}

/** Whether a store keeps its results in the database file at `path`. */
export function isSqliteResultsOf(results: ResultStore | undefined, path: string): boolean {
  return results instanceof SqliteResults && results.path === path;
}

class SqliteResults implements ResultStore {
  readonly name: string;
  readonly revoked: RevokedIds;
  readonly chords: SqliteChords;
  readonly groups: SqliteChords;
  readonly #location: DatabaseLocation;
  readonly #clock: Clock;
  readonly #watches = new Set<SqliteWatch>();
  #connected: Promise<Database> | undefined;

  constructor(url: string, clock: Clock) {
    this.name = url;
    this.#location = locate(url);
    this.#clock = clock;
    this.revoked = new SqliteRevokedIds(() => this.#database(), clock);
    this.chords = this.groups = new SqliteChords(() => this.#database(), clock);
  }

  /** The database file. */
  get path(): string {
    return this.#location.path;
  }

  async connect(signal?: AbortSignal): Promise<void> {
    await this.#database(signal);
  }

  #database(signal?: AbortSignal): Promise<Database> {
    if (this.#connected === undefined) {
      const options = { clock: this.#clock, random: Math.random };
      const connecting = this.#connected = Database.use(this.#location, options, signal);
      connecting.catch(() => {
        if (this.#connected === connecting) this.#connected = undefined;
      });
    }
    return this.#connected;
  }

  async store(results: readonly StoredResult[]): Promise<void> {
    if (results.length === 0) return;
    const db = await this.#database();
    await db.write(() => db.part(StoredResults).put(results, this.#clock.now()));
  }

  async fetch(ids: readonly string[]): Promise<(string | null)[]> {
    const db = await this.#database();
    const now = this.#clock.now();
    return await db.read(() => ids.map((id) => db.part(StoredResults).find(id, now)?.body ?? null));
  }

  async forget(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    const db = await this.#database();
    await db.write(() => db.part(StoredResults).forget(ids));
  }

  watch(listener: ResultListener): ResultWatch {
    const watch = new SqliteWatch(
      () => this.#database(),
      this.#clock,
      listener,
      () => this.#watches.delete(watch),
    );
    this.#watches.add(watch);
    return watch;
  }

  keyOf(id: string): string {
    return `celery-task-meta-${id}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const watch of this.#watches) await watch[Symbol.asyncDispose]();
    const connected = this.#connected;
    this.#connected = undefined;
    await connected?.then((db) => db.release(), () => {});
  }
}
