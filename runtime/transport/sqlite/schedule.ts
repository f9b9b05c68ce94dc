/** Delayed messages: any worker makes them ready when they are due, between settle and receive on a task's way. */
import type { DatabaseSync, StatementSync } from "node:sqlite";

interface Due {
  readonly due: number;
  readonly id: number;
  readonly queue: string;
  readonly priority: number;
}

/** Messages that one transaction moves at most: as many more as are due move in the next. */
const MOST = 1_000;

export class Schedule {
  readonly #next: StatementSync;
  readonly #due: StatementSync;
  readonly #ready: StatementSync;
  readonly #drop: StatementSync;

  constructor(db: DatabaseSync) {
    this.#next = db.prepare("select due from delayed order by due limit 1");
    this.#due = db.prepare(
      "select due, id, queue, priority from delayed where due <= ? order by due, id limit ?",
    );
    this.#ready = db.prepare("insert into ready(queue, priority, id) values(?, ?, ?)");
    this.#drop = db.prepare("delete from delayed where due = ? and id = ?");
  }

  /** When the next message is due, in milliseconds since 1970; `Infinity` when none is delayed. Only reads. */
  next(): number {
    return (this.#next.get() as { due: number } | undefined)?.due ?? Infinity;
  }

  /** Makes ready what is due. Inside of a write transaction, so that no message is moved twice. */
  moveDue(now: number): void {
    if (this.next() > now) return;
    for (const { due, id, queue, priority } of this.#due.all(now, MOST) as unknown as Due[]) {
      this.#drop.run(due, id);
      this.#ready.run(queue, priority, id);
    }
  }
}
