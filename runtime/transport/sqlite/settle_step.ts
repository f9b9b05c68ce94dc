/**
 * The step settle: what becomes of claimed messages. All of it runs inside of the caller's write transaction, in
 * which the caller has seen that its owner's row is there: then every claim of that owner is still its own.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { markRestored } from "../../protocol/envelope.ts";
import { BuryStep } from "./bury_step.ts";
import { decodeStrictly } from "../strict_text.ts";

/** A claimed message. */
export interface ClaimedMessage {
  readonly id: number;
  readonly queue: string;
  readonly priority: number;
}

/** A message that became a dead letter; its text where it has one. */
export interface Buried {
  readonly queue: string;
  readonly reason: string;
  readonly text?: string;
}

export class SettleStep {
  readonly #deleteMessages: StatementSync;
  readonly #unclaim: StatementSync;
  readonly #addReady: StatementSync;
  readonly #addDelayed: StatementSync;
  readonly #bytes: StatementSync;
  readonly #rewrite: StatementSync;
  readonly #bury: BuryStep;

  constructor(db: DatabaseSync) {
    this.#deleteMessages = db.prepare("delete from message where id between ? and ?");
    this.#unclaim = db.prepare("delete from claimed where id between ? and ?");
    this.#addReady = db.prepare("insert into ready(queue, priority, id) values(?, ?, ?)");
    this.#addDelayed = db.prepare("insert into delayed(due, id, queue, priority) values(?, ?, ?, ?)");
    this.#bytes = db.prepare("select cast(body as blob) as body from message where id = ?");
    this.#rewrite = db.prepare("update message set body = ? where id = ?");
    this.#bury = new BuryStep(db);
  }

  /** Deletes what is done with, ids that follow one another at once. */
  acknowledge(ids: number[]): void {
    ids.sort((one, other) => one - other);
    for (let start = 0, end = 1; start < ids.length; start = end++) {
      while (end < ids.length && ids[end] === ids[end - 1] + 1) end++;
      this.#deleteMessages.run(ids[start], ids[end - 1]);
      this.#unclaim.run(ids[start], ids[end - 1]);
    }
  }

  /** Makes a message ready again. Its id is older than all that wait, so it is next out. */
  handBack({ id, queue, priority }: ClaimedMessage): void {
    this.#addReady.run(queue, priority, id);
    this.#unclaim.run(id, id);
  }

  delay({ id, queue, priority }: ClaimedMessage, due: number): void {
    this.#addDelayed.run(due, id, queue, priority);
    this.#unclaim.run(id, id);
  }

  bury({ id, queue }: ClaimedMessage, reason: string, now: number): void {
    this.#bury.bury(id, queue, reason, now);
    this.#unclaim.run(id, id);
  }

  /** Marks and counts a message where it is; its new text, unless it can't be marked. */
  count(id: number): string | undefined {
    const { marked } = this.#marked(id, 1);
    if (!marked?.deliveries) return undefined;
    this.#rewrite.run(marked.text, id);
    return marked.text;
  }

  /** Hands a message back marked and not counted. */
  handBackMarked(message: ClaimedMessage): void {
    const { marked } = this.#marked(message.id, 0);
    if (marked !== undefined) this.#rewrite.run(marked.text, message.id);
    this.handBack(message);
  }

  /** Hands a message back marked and counted, or puts it to the dead letters and tells why, and its text. */
  restore(message: ClaimedMessage, maxDeliveries: number, now: number): Buried | undefined {
    const { text, marked } = this.#marked(message.id, 1);
    let reason: string | undefined;
    if (!marked?.deliveries) reason = "not an envelope: it cannot be marked as restored";
    else if (marked.deliveries > maxDeliveries) {
      reason = `restored ${maxDeliveries} times without being settled`;
    } else this.#rewrite.run(marked.text, message.id);
    if (reason === undefined) {
      this.handBack(message);
      return undefined;
    }
    this.bury(message, reason, now);
    return { queue: message.queue, reason, text };
  }

  #marked(id: number, by: 0 | 1): { text?: string; marked?: ReturnType<typeof markRestored> } {
    const { body } = this.#bytes.get(id) as { body: Uint8Array | null };
    const text = decodeStrictly(body ?? new Uint8Array());
    return text === undefined ? {} : { text, marked: markRestored(text, by) };
  }
}
