/** Ids of tasks that are not to run any more, in a database file: the broker's, the result store's, or a worker's own. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Clock } from "../../clock.ts";
import type { RevokedBounds, RevokedIds, RevokedLook } from "../revoked_ids.ts";
import { Database } from "./database.ts";
import { locate } from "./location.ts";

class RevokedRows {
  readonly #add: StatementSync;
  readonly #dropOld: StatementSync;
  readonly #dropMany: StatementSync;
  readonly #remove: StatementSync;
  readonly #after: StatementSync;
  readonly #count: StatementSync;

  constructor(db: DatabaseSync) {
    // Added again it gets a new number: who reads from a cursor on sees it, and it is the newest.
    this.#add = db.prepare("insert or replace into revoked(id, at) values(?, ?)");
    this.#dropOld = db.prepare("delete from revoked where at < ?");
    this.#dropMany = db.prepare(
      "delete from revoked where n <= (select n from revoked order by n desc limit 1 offset ?)",
    );
    this.#remove = db.prepare("delete from revoked where id = ?");
    this.#after = db.prepare("select n, id from revoked where n > ? order by n");
    this.#count = db.prepare("select count(*) as count from revoked");
  }

  add(ids: readonly string[], now: number, { seconds, most }: RevokedBounds): void {
    for (const id of ids) this.#add.run(id, now);
    this.#dropOld.run(now - seconds * 1000);
    this.#dropMany.run(most);
  }

  remove(ids: readonly string[]): void {
    for (const id of ids) this.#remove.run(id);
  }

  after(cursor: number): RevokedLook {
    const rows = this.#after.all(cursor) as unknown as { n: number; id: string }[];
    const { count } = this.#count.get() as { count: number };
    return { ids: rows.map(({ id }) => id), cursor: rows.at(-1)?.n ?? cursor, count };
  }
}

export class SqliteRevokedIds implements RevokedIds {
  readonly #database: () => Promise<Database>;
  readonly #clock: Clock;

  /** `database` is the connection, opened when first asked for. */
  constructor(database: () => Promise<Database>, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  async add(ids: readonly string[], bounds: RevokedBounds): Promise<void> {
    const db = await this.#database();
    await db.write(() => db.part(RevokedRows).add(ids, this.#clock.now(), bounds));
  }

  async remove(ids: readonly string[]): Promise<void> {
    const db = await this.#database();
    await db.write(() => db.part(RevokedRows).remove(ids));
  }

  async read(cursor = 0): Promise<RevokedLook> {
    const db = await this.#database();
    return await db.snapshot(() => db.part(RevokedRows).after(cursor));
  }
}

/** The same in a file of its own. It is made when first written or read. */
export class RevokedIdsFile extends SqliteRevokedIds implements AsyncDisposable {
  readonly #opened: { database?: Promise<Database> };

  /** @throws {BadUrlError} When no database can be at that path. */
  constructor(path: string, clock: Clock) {
    const opened: { database?: Promise<Database> } = {};
    const location = locate(`sqlite:${path}`);
    super(() => {
      const opening = opened.database ??= Database.use(location, { clock, random: Math.random });
      opening.catch(() => opened.database === opening && (opened.database = undefined));
      return opening;
    }, clock);
    this.#opened = opened;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened.database?.then((db) => db.release(), () => {});
  }
}
