/** What everybody hears who listens now (remote control, events): rows that are read as they come and soon dropped. */
import type { DatabaseSync, StatementSync } from "node:sqlite";

/** Milliseconds that a row stays for slow listeners. */
const KEPT = 60_000;

export class Broadcasts {
  readonly #add: StatementSync;
  readonly #dropOld: StatementSync;
  readonly #last: StatementSync;
  readonly #after: StatementSync;

  constructor(db: DatabaseSync) {
    this.#add = db.prepare("insert into broadcast(exchange, at, body) values(?, ?, ?)");
    this.#dropOld = db.prepare("delete from broadcast where at < ?");
    this.#last = db.prepare("select seq from sqlite_sequence where name = 'broadcast'");
    this.#after = db.prepare(
      "select n, body from broadcast where n > ? and exchange = ? order by n limit 1000",
    );
  }

  /** In a write transaction. */
  add(exchange: string, text: string, now: number): void {
    this.#dropOld.run(now - KEPT);
    this.#add.run(exchange, now, text);
  }

  /** The number of the newest one there ever was. */
  last(): number {
    return (this.#last.get() as { seq: number } | undefined)?.seq ?? 0;
  }

  after(n: number, exchange: string): { readonly n: number; readonly body: string }[] {
    return this.#after.all(n, exchange) as unknown as { n: number; body: string }[];
  }
}
