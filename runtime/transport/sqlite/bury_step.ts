/** Dead letters: messages that cannot be run, kept byte for byte. Writes run inside of the caller's transaction. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { DeadLetter } from "../transport.ts";

export class BuryStep {
  readonly #keep: StatementSync;
  readonly #drop: StatementSync;
  readonly #newest: StatementSync;

  constructor(db: DatabaseSync) {
    this.#keep = db.prepare(
      "insert into dead(queue, reason, at, body) select ?, ?, ?, body from message where id = ?",
    );
    this.#drop = db.prepare("delete from message where id = ?");
    this.#newest = db.prepare(
      "select id as tag, queue, reason, at, cast(body as blob) as body from dead where queue = ? order by id desc limit ?",
    );
  }

  /** Moves a message, which never leaves the database on the way; its row in another table is the caller's. */
  bury(id: number, queue: string, reason: string, now: number): void {
    this.#keep.run(queue, reason, now, id);
    this.#drop.run(id);
  }

  newest(queue: string, limit: number): DeadLetter[] {
    return (this.#newest.all(queue, limit) as unknown as DeadLetter[])
      .map((letter) => ({ ...letter, body: letter.body ?? new Uint8Array() }));
  }
}
