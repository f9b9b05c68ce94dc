/** Many rows with few calls: calls into SQLite cost more than the rows, on the way of every task. */
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";

/** Rows of one call. Measured: fewer cost more calls, more cost more for their parameters. */
const ROWS = 16;

/** The SQL of rows. */
export interface RowShape {
  /** What stands before the rows. */
  readonly into: string;
  /** How many parameters all rows of a call share: `?1` and on. */
  readonly shared: number;
  /** How many parameters each row has of its own. */
  readonly own: number;
  /** One row by its index in its call and the names of its own parameters. */
  readonly row: (index: number, own: readonly string[]) => string;
  /** What stands after the rows. */
  readonly then?: string;
}

/** An insert of rows of one shape, prepared for one row and for several. */
export class BulkInsert {
  readonly #own: number;
  readonly #one: StatementSync;
  readonly #several: StatementSync;

  constructor(db: DatabaseSync, { into, shared, own, row, then = "" }: RowShape) {
    const prepare = (rows: number) => {
      const names = (index: number) =>
        Array.from({ length: own }, (_, i) => `?${shared + index * own + i + 1}`);
      const all = Array.from({ length: rows }, (_, index) => `(${row(index, names(index))})`);
      return db.prepare(`${into} values${all.join(", ")} ${then}`);
    };
    this.#own = own;
    this.#one = prepare(1);
    this.#several = prepare(ROWS);
  }

  /**
   * Inserts rows whose own values stand one after the other; `shared` tells what the rows from one on share.
   * `inserted` hears of each call: the last row's id, and how many rows it had.
   */
  run(
    own: readonly SQLInputValue[],
    shared: (from: number) => readonly SQLInputValue[] = () => [],
    inserted?: (lastId: number, rows: number) => void,
  ): void {
    const count = own.length / this.#own;
    for (let from = 0, rows = 0; from < count; from += rows) {
      rows = count - from < ROWS ? 1 : ROWS;
      const values = own.slice(from * this.#own, (from + rows) * this.#own);
      const statement = rows === 1 ? this.#one : this.#several;
      const { lastInsertRowid } = statement.run(...shared(from), ...values);
      inserted?.(Number(lastInsertRowid), rows);
    }
  }
}
