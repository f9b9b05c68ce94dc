/** The step publish: messages into queues. All of it runs inside of the caller's write transaction. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { encodeEnvelope } from "../../protocol/envelope.ts";
import type { WireMessage } from "../../protocol/wire_message.ts";

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
  readonly #addMessage: StatementSync;
  readonly #addReady: StatementSync;
  readonly #addQueue: StatementSync;
  readonly #bind: StatementSync;
  readonly #bound: StatementSync;

  constructor(db: DatabaseSync) {
    this.#addMessage = db.prepare("insert into message(body) values(?)");
    this.#addReady = db.prepare("insert into ready(queue, priority, id) values(?, ?, last_insert_rowid())");
    this.#addQueue = db.prepare("insert into queue(name) values(?) on conflict do nothing");
    this.#bind = db.prepare(
      "insert into binding(exchange, routing_key, queue) values(?, ?, ?) on conflict do nothing",
    );
    this.#bound = db.prepare("select queue from binding where exchange = ? and routing_key = ?");
  }

  /** Makes the messages ready in their order: an id that grows is the order of a queue. */
  publish(messages: readonly EncodedMessage[]): void {
    let known: string | undefined;
    for (const { exchange, routingKey, priority, text } of messages) {
      if (exchange !== "") {
        for (const { queue } of this.#bound.all(exchange, routingKey) as { queue: string }[]) {
          this.#add(queue, priority, text);
        }
        continue;
      }
      if (routingKey !== known) this.#addQueue.run(known = routingKey);
      this.#add(routingKey, priority, text);
    }
  }

  #add(queue: string, priority: number, text: string): void {
    this.#addMessage.run(text);
    this.#addReady.run(queue, priority);
  }

  declare(queues: readonly string[]): void {
    for (const queue of queues) this.#addQueue.run(queue);
  }

  bind(exchange: string, routingKey: string, queue: string): void {
    this.#addQueue.run(queue);
    this.#bind.run(exchange, routingKey, queue);
  }
}
