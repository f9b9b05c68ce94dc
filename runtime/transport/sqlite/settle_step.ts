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

  /** Hands a message back marked and counted, or puts it to the dead letters and tells why. */
  restore(message: ClaimedMessage, maxDeliveries: number, now: number): string | undefined {
    const text = decodeStrictly(
      (this.#bytes.get(message.id) as { body: Uint8Array | null }).body ?? new Uint8Array(),
    );
    const marked = text === undefined ? undefined : markRestored(text);
    let reason: string | undefined;
    if (!marked?.deliveries) reason = "not an envelope: it cannot be marked as restored";
    else if (marked.deliveries > maxDeliveries) {
      reason = `restored ${maxDeliveries} times without being settled`;
    } else this.#rewrite.run(marked.text, message.id);
    if (reason === undefined) this.handBack(message);
    else this.bury(message, reason, now);
    return reason;
  }
}
