/** Many rows with few calls: calls into SQLite cost more than the rows, on the way of every task. */
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";

/** Rows of one call. Measured: fewer cost more calls, more cost more for their parameters. */
const ROWS = 8;

/** An insert of rows of one shape, prepared for one row and for several. */
export class BulkInsert {
  readonly #columns: number;
  readonly #one: StatementSync;
  readonly #several: StatementSync;

  /** `into` is what stands before the rows, `then` what stands after them. */
  constructor(db: DatabaseSync, into: string, columns: number, then: string = "") {
    this.#columns = columns;
    const row = `(${Array(columns).fill("?").join(", ")})`;
    this.#one = db.prepare(`${into} values${row} ${then}`);
    this.#several = db.prepare(`${into} values${Array(ROWS).fill(row).join(", ")} ${then}`);
  }

  /**
   * Inserts rows whose values stand one after the other, then `more` for the parameters after the rows.
   * `inserted` hears of each call: the last row's id, and how many rows it had.
   */
  run(
    values: readonly SQLInputValue[],
    more: readonly SQLInputValue[] = [],
    inserted?: (lastId: number, rows: number) => void,
  ): void {
    const width = ROWS * this.#columns;
    let at = 0;
    for (; at + width <= values.length; at += width) {
      const { lastInsertRowid } = this.#several.run(...values.slice(at, at + width), ...more);
      inserted?.(Number(lastInsertRowid), ROWS);
    }
    for (; at < values.length; at += this.#columns) {
      const { lastInsertRowid } = this.#one.run(...values.slice(at, at + this.#columns), ...more);
      inserted?.(Number(lastInsertRowid), 1);
    }
  }
}
