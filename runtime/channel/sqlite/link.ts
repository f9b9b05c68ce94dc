/** How the messages of one database file reach those who wait for them in this process. */
import { Database, type DatabaseOptions } from "../../transport/sqlite/database.ts";
import { Follower } from "../../transport/sqlite/follower.ts";
import type { DatabaseLocation } from "../../transport/sqlite/location.ts";
import { Lines } from "./lines.ts";

export class SqliteLink {
  readonly #location: DatabaseLocation;
  readonly #options: DatabaseOptions;
  readonly #watchers = new Map<string, Set<() => void>>();
  #connected: Promise<Database> | undefined;
  #follower: Follower | undefined;
  #seen = 0;

  constructor(location: DatabaseLocation, options: DatabaseOptions) {
    this.#location = location;
    this.#options = options;
  }

  /** Calls `wake` after each change of a line that follows the next step of {@linkcode SqliteLink.database}. */
  watch(line: string, wake: () => void): () => void {
    let watchers = this.#watchers.get(line);
    if (watchers === undefined) this.#watchers.set(line, watchers = new Set());
    watchers.add(wake);
    return () => {
      watchers.delete(wake);
      if (watchers.size > 0 || this.#watchers.get(line) !== watchers) return;
      this.#watchers.delete(line);
      if (this.#watchers.size > 0) return;
      void this.#follower?.close();
      this.#follower = undefined;
    };
  }

  /** The database, followed while somebody waits. @throws {BadUrlError} @throws {BrokerUnavailableError} */
  async database(): Promise<Database> {
    if (this.#connected === undefined) {
      const connecting = this.#connected = Database.use(this.#location, this.#options);
      connecting.catch(() => {
        if (this.#connected === connecting) this.#connected = undefined;
      });
    }
    const db = await this.#connected;
    if (this.#watchers.size > 0 && this.#follower === undefined) {
      const follower = this.#follower = new Follower(db.wakeUp, () => this.#read(db));
      const newest = await db.read(() => db.part(Lines).newest());
      if (this.#follower === follower) this.#seen = newest;
    }
    return db;
  }

  async close(): Promise<void> {
    const connected = this.#connected;
    this.#connected = undefined;
    await this.#follower?.close();
    this.#follower = undefined;
    await connected?.then((db) => db.release(), () => {});
  }

  async #read(db: Database): Promise<void> {
    const since = this.#seen;
    const newest = await db.read(() => db.part(Lines).newest());
    if (newest === since) return;
    this.#seen = newest;
    for (const line of await db.read(() => db.part(Lines).changedSince(since))) {
      for (const wake of this.#watchers.get(line) ?? []) wake();
    }
  }
}
