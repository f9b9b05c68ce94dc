/** An open watch of results in a database file: the end of a task's way, where its caller hears of it. */
import type { Clock } from "../../clock.ts";
import type { Database } from "../../transport/sqlite/database.ts";
import { Follower } from "../../transport/sqlite/follower.ts";
import type { ResultListener, ResultWatch } from "../result_store.ts";
import { StoredResults } from "./stored_results.ts";

/** Rows read at once, so that nothing waits long for a watcher that has much to catch up on. */
const PAGE = 500;

export class SqliteWatch implements ResultWatch {
  readonly #database: () => Promise<Database>;
  readonly #clock: Clock;
  readonly #listener: ResultListener;
  readonly #closed: () => void;
  /** By id: the number of the newest state that was heard of. */
  readonly #ids = new Map<string, number>();
  #follower: Follower | undefined;
  #seen = 0;

  constructor(database: () => Promise<Database>, clock: Clock, listener: ResultListener, closed: () => void) {
    this.#database = database;
    this.#clock = clock;
    this.#listener = listener;
    this.#closed = closed;
  }

  async add(ids: readonly string[]): Promise<void> {
    const db = await this.#database();
    for (const id of ids) if (!this.#ids.has(id)) this.#ids.set(id, 0);
    if (this.#follower === undefined && this.#ids.size > 0) {
      this.#follower = new Follower(db.wakeUp, () => this.#read(db));
      this.#seen = await db.read(() => db.part(StoredResults).newest());
    }
    for (let at = 0; at < ids.length; at += PAGE) await this.#look(db, ids.slice(at, at + PAGE));
  }

  remove(ids: readonly string[]): void {
    for (const id of ids) this.#ids.delete(id);
    if (this.#ids.size > 0) return;
    void this.#follower?.close();
    this.#follower = undefined;
  }

  async #read(db: Database): Promise<void> {
    const newest = await db.read(() => db.part(StoredResults).newest());
    if (newest === this.#seen) return;
    // Whichever is less to read: all that is new, or all that is watched.
    if (newest - this.#seen <= this.#ids.size) return await this.#readNew(db, newest);
    const ids = [...this.#ids.keys()];
    for (let at = 0; at < ids.length; at += PAGE) await this.#look(db, ids.slice(at, at + PAGE));
    this.#seen = newest;
  }

  async #readNew(db: Database, newest: number): Promise<void> {
    for (;;) {
      const page = await db.read(() => db.part(StoredResults).after(this.#seen, this.#clock.now(), PAGE));
      for (const { n, id, body } of page) {
        this.#seen = n;
        this.#tell(n, id, body);
      }
      if (page.length < PAGE) break;
    }
    // What was replaced since leaves a gap at the end.
    this.#seen = Math.max(this.#seen, newest);
  }

  async #look(db: Database, ids: readonly string[]): Promise<void> {
    const now = this.#clock.now();
    const found = await db.read(() => ids.map((id) => db.part(StoredResults).find(id, now)));
    for (const result of found) if (result !== undefined) this.#tell(result.n, result.id, result.body);
  }

  #tell(n: number, id: string, body: string): void {
    const heard = this.#ids.get(id);
    if (heard === undefined || heard >= n) return;
    this.#ids.set(id, n);
    this.#listener(id, body);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ids.clear();
    this.#closed();
    await this.#follower?.close();
    this.#follower = undefined;
  }
}
