/** What operators ask of queues: lengths, purge, delete. Beside a task's way. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { QueueLength } from "../transport.ts";

/** Messages that one transaction drops at most, so that workers come in between. */
const SLICE = 5_000;

type Count = { readonly queue: string; readonly count: number };

export class Queues {
  readonly #known: StatementSync;
  readonly #ready: StatementSync;
  readonly #dead: StatementSync;
  readonly #delayed: StatementSync;
  readonly #claimed: StatementSync;
  readonly #dropReady: StatementSync[];
  readonly #dropDelayed: StatementSync[];
  readonly #delete: StatementSync[];

  constructor(db: DatabaseSync) {
    this.#known = db.prepare(
      `select name from queue union select queue from claimed union select queue from delayed
       union select queue from dead order by 1`,
    );
    this.#ready = db.prepare("select count(*) as count from ready where queue = ?");
    this.#dead = db.prepare("select count(*) as count from dead where queue = ?");
    this.#delayed = db.prepare("select queue, count(*) as count from delayed group by queue");
    this.#claimed = db.prepare("select queue, count(*) as count from claimed group by queue");
    // Both statements of a pair see the same rows: nothing changes between them.
    this.#dropReady = [
      `delete from message where id in
         (select id from ready where queue = ?1 order by priority, id limit ${SLICE})`,
      `delete from ready where queue = ?1 and (priority, id) in
         (select priority, id from ready where queue = ?1 order by priority, id limit ${SLICE})`,
    ].map((sql) => db.prepare(sql));
    this.#dropDelayed = [
      `delete from message where id in (select id from delayed where queue = ?1 order by due, id limit ${SLICE})`,
      `delete from delayed where (due, id) in
         (select due, id from delayed where queue = ?1 order by due, id limit ${SLICE})`,
    ].map((sql) => db.prepare(sql));
    this.#delete = [
      "delete from queue where name = ?",
      "delete from binding where queue = ?",
      "delete from dead where queue = ?",
    ]
      .map((sql) => db.prepare(sql));
  }

  /** Inside of a transaction, so that a message that moves is counted once. */
  lengths(queues?: readonly string[]): QueueLength[] {
    const counts = (statement: StatementSync) =>
      new Map((statement.all() as unknown as Count[]).map(({ queue, count }) => [queue, count]));
    const delayed = counts(this.#delayed);
    const claimed = counts(this.#claimed);
    const names = queues ?? (this.#known.all() as { name: string }[]).map(({ name }) => name);
    return names.map((queue) => ({
      queue,
      ready: (this.#ready.get(queue) as unknown as Count).count,
      delayed: delayed.get(queue) ?? 0,
      unacked: claimed.get(queue) ?? 0,
      dead: (this.#dead.get(queue) as unknown as Count).count,
    }));
  }

  /** Drops a slice of what is ready or delayed; tells how many, 0 when nothing is left. In a write transaction. */
  drop(queue: string): number {
    let dropped = 0;
    for (const [messages, places] of [this.#dropReady, this.#dropDelayed]) {
      messages.run(queue);
      dropped += Number(places.run(queue).changes);
    }
    return dropped;
  }

  /** Forgets an empty queue, its bindings and its dead letters. In a write transaction. */
  delete(queue: string): void {
    for (const statement of this.#delete) statement.run(queue);
  }
}
