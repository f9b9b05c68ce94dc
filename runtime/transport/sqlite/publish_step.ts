/** The step publish: messages into queues. All of it runs inside of the caller's write transaction. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { encodeEnvelope } from "../../protocol/envelope.ts";
import type { WireMessage } from "../../protocol/wire_message.ts";
import { BulkInsert } from "./bulk_insert.ts";

/** A message in the form in which it is stored; made before the lock is taken. */
export interface EncodedMessage {
  readonly exchange: string;
  readonly routingKey: string;
  readonly priority: number;
  readonly text: string;
}

/** @throws {UnserializableError} For a header that no message can carry. */
export function encodeMessage(message: WireMessage): EncodedMessage {
  const { exchange, routingKey } = message;
  const priority = Math.min(9, Math.max(0, Math.trunc(message.priority) || 0));
  return { exchange, routingKey, priority, text: encodeEnvelope(message) };
}

export class PublishStep {
  readonly #addMessages: BulkInsert;
  readonly #addReady: StatementSync;
  readonly #addQueue: StatementSync;
  readonly #bind: StatementSync;
  readonly #bound: StatementSync;

  constructor(db: DatabaseSync) {
    this.#addMessages = new BulkInsert(db, {
      into: "insert into message(body)",
      shared: 0,
      own: 1,
      row: (_, [body]) => body,
    });
    this.#addReady = db.prepare(
      "insert into ready(queue, priority, id) select ?, ?, id from message where id between ? and ?",
    );
    this.#addQueue = db.prepare("insert into queue(name) values(?) on conflict do nothing");
    this.#bind = db.prepare(
      "insert into binding(exchange, routing_key, queue) values(?, ?, ?) on conflict do nothing",
    );
    this.#bound = db.prepare("select queue from binding where exchange = ? and routing_key = ?");
  }

  /** Makes the messages ready in their order: an id that grows is the order of a queue. */
  publish(messages: readonly EncodedMessage[]): void {
    const texts: string[] = [];
    const places: { readonly queue: string; readonly priority: number }[] = [];
    let known: string | undefined;
    for (const { exchange, routingKey, priority, text } of messages) {
      if (exchange === "" && routingKey !== known) this.#addQueue.run(known = routingKey);
      const queues = exchange === "" ? [{ queue: routingKey }] : this.#bound.all(exchange, routingKey);
      for (const { queue } of queues as { queue: string }[]) {
        texts.push(text);
        places.push({ queue, priority });
      }
    }
    if (texts.length === 0) return;
    let next = 0;
    this.#addMessages.run(texts, undefined, (lastId) => next = lastId + 1);
    // What is added in one transaction has ids that follow one another.
    for (let start = 0, end = 0, id = next - texts.length; start < places.length; start = end) {
      const { queue, priority } = places[start];
      while (end < places.length && places[end].queue === queue && places[end].priority === priority) end++;
      this.#addReady.run(queue, priority, id, (id += end - start) - 1);
    }
  }

  declare(queues: readonly string[]): void {
    for (const queue of queues) this.#addQueue.run(queue);
  }

  bind(exchange: string, routingKey: string, queue: string): void {
    this.#addQueue.run(queue);
    this.#bind.run(exchange, routingKey, queue);
  }
}
