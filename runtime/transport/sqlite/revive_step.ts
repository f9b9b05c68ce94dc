/** Dead letters that go back to their queues, or for good. Runs inside of the caller's write transaction. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { revive } from "../revive.ts";

export class ReviveStep {
  readonly #take: StatementSync;
  readonly #addQueue: StatementSync;
  readonly #addMessage: StatementSync;
  readonly #addReady: StatementSync;

  constructor(db: DatabaseSync) {
    this.#take = db.prepare("delete from dead where id = ? returning queue, cast(body as blob) as body");
    this.#addQueue = db.prepare("insert into queue(name) values(?) on conflict do nothing");
    this.#addMessage = db.prepare("insert into message(body) values(?)");
    this.#addReady = db.prepare("insert into ready(queue, priority, id) values(?, ?, ?)");
  }

  /** Drops letters; tells how many were there. */
  drop(ids: readonly number[]): number {
    return ids.filter((id) => this.#take.get(id) !== undefined).length;
  }

  /** Puts letters back, behind what waits; tells how many were there. */
  requeue(ids: readonly number[]): number {
    let count = 0;
    for (const id of ids) {
      const letter = this.#take.get(id) as { queue: string; body: Uint8Array | null } | undefined;
      if (letter === undefined) continue;
      const body = letter.body ?? new Uint8Array();
      const { text, priority } = revive(body);
      this.#addQueue.run(letter.queue);
      const { lastInsertRowid } = this.#addMessage.run(text ?? body);
      this.#addReady.run(letter.queue, priority, lastInsertRowid);
      count++;
    }
    return count;
  }
}
