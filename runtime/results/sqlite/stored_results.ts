/**
 * Results as rows: on a task's way a part of the transaction that settles, and what its caller reads. Each row has a
 * number from a counter that only grows, so that whoever watches asks for what is beyond the last one it has seen.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { BulkInsert } from "../../transport/sqlite/bulk_insert.ts";
import type { StoredResult } from "../result_store.ts";

/** When a result expires that is kept for ever: milliseconds since 1970. */
const NEVER = Number.MAX_SAFE_INTEGER;

/** A result as a watcher finds it. */
export interface NumberedResult {
  readonly n: number;
  readonly id: string;
  readonly body: string;
}

export class StoredResults {
  readonly #count: StatementSync;
  readonly #put: BulkInsert;
  readonly #newest: StatementSync;
  readonly #find: StatementSync;
  readonly #after: StatementSync;
  readonly #forget: StatementSync;
  readonly #expired: StatementSync;
  readonly #sweep: StatementSync;

  constructor(db: DatabaseSync) {
    this.#count = db.prepare("update counter set value = value + ? where name = 'result' returning value");
    // Not overwritten: a success that has not expired.
    this.#put = new BulkInsert(db, {
      into: "insert into result(n, success, expires, id, body)",
      shared: 4,
      own: 2,
      row: (index, [id, body]) => `?1 + ${index}, ?2, ?3, ${id}, ${body}`,
      then: `on conflict(id) do update
             set n = excluded.n, success = excluded.success, expires = excluded.expires, body = excluded.body
             where not result.success or result.expires <= ?4`,
    });
    this.#newest = db.prepare("select value from counter where name = 'result'");
    this.#find = db.prepare("select n, id, body from result where id = ? and expires > ?");
    this.#after = db.prepare("select n, id, body from result where n > ? and expires > ? order by n limit ?");
    this.#forget = db.prepare("delete from result where id = ?");
    this.#expired = db.prepare("select 1 from result where expires <= ? limit 1");
    this.#sweep = db.prepare(
      "delete from result where n in (select n from result where expires <= ? order by expires limit ?)",
    );
  }

  /** Stores states, and drops about as many expired ones as it stores. In a write transaction. */
  put(results: readonly StoredResult[], now: number): void {
    if (results.length === 0) return;
    let n = (this.#count.get(results.length) as { value: number }).value - results.length + 1;
    // What follows one another is mostly alike.
    for (let start = 0, end = 0; start < results.length; start = end) {
      const { state, ttl } = results[start];
      const values: string[] = [];
      for (; end < results.length && results[end].state === state && results[end].ttl === ttl; end++) {
        values.push(results[end].id, results[end].text);
      }
      const first = n;
      const shared = [state === "SUCCESS" ? 1 : 0, ttl === 0 ? NEVER : now + ttl * 1000, now];
      this.#put.run(values, (from) => [first + from, ...shared]);
      n += end - start;
    }
    this.sweep(now, 2 * results.length);
  }

  /** The number of the newest result there ever was. */
  newest(): number {
    return (this.#newest.get() as { value: number }).value;
  }

  find(id: string, now: number): NumberedResult | undefined {
    return this.#find.get(id, now) as unknown as NumberedResult | undefined;
  }

  /** At most `limit` results beyond `n`, in the order in which they were stored. */
  after(n: number, now: number, limit: number): NumberedResult[] {
    return this.#after.all(n, now, limit) as unknown as NumberedResult[];
  }

  /** In a write transaction. */
  forget(ids: readonly string[]): void {
    for (const id of ids) this.#forget.run(id);
  }

  /** Whether anything has expired. Only reads. */
  hasExpired(now: number): boolean {
    return this.#expired.get(now) !== undefined;
  }

  /** Drops at most `limit` results that have expired. In a write transaction. */
  sweep(now: number, limit: number): void {
    if (this.hasExpired(now)) this.#sweep.run(now, limit);
  }
}
