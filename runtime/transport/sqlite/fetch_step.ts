/**
 * The step receive: what is ready into the hands of an owner. {@linkcode FetchStep.take} runs inside of the caller's
 * write transaction, so that no two owners see the same row ready.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { decodeStrictly, isDoubtful } from "../strict_text.ts";
import { BuryStep } from "./bury_step.ts";

/** A message as it leaves its queue. */
export interface TakenMessage {
  readonly id: number;
  readonly priority: number;
  readonly text: string;
}

/** Bytes: bodies up to this size are read together, larger ones one by one. */
const SMALL = 16_384;
/** Bytes that one fetch takes at most, beyond its first message. */
export const FETCH_BYTES = 4 * 1024 * 1024;

type Row = [priority: number, id: number, bytes: number, body: string | Uint8Array | null];

/** How much a fetch may still take, over all its queues. */
export interface Budget {
  bytes: number;
}

export class FetchStep {
  readonly #peek: StatementSync;
  readonly #ready: StatementSync;
  readonly #body: StatementSync;
  readonly #bytes: StatementSync;
  readonly #claim: StatementSync;
  readonly #unready: StatementSync;
  readonly #bury: BuryStep;

  constructor(db: DatabaseSync) {
    this.#peek = db.prepare("select 1 from ready where queue = ? limit 1");
    this.#ready = db.prepare(
      `select r.priority, r.id, octet_length(m.body), case when octet_length(m.body) <= ${SMALL} then m.body end
       from ready r cross join message m on m.id = r.id
       where r.queue = ? order by r.priority, r.id limit ?`,
    );
    this.#ready.setReturnArrays(true);
    this.#body = db.prepare("select body from message where id = ?");
    this.#bytes = db.prepare("select cast(body as blob) as body from message where id = ?");
    this.#claim = db.prepare(
      `insert into claimed(id, owner, queue, priority)
       select id, ?, queue, priority from ready where queue = ? and priority = ? and id between ? and ?`,
    );
    this.#unready = db.prepare("delete from ready where queue = ? and priority = ? and id between ? and ?");
    this.#bury = new BuryStep(db);
  }

  /** Whether anything is ready. Only reads. */
  hasReady(queues: readonly string[]): boolean {
    return queues.some((queue) => this.#peek.get(queue) !== undefined);
  }

  /**
   * Claims at most `most` messages of a queue for an owner, the most urgent first. What cannot be handed out goes to
   * the dead letters; `refused` hears why.
   */
  take(
    queue: string,
    most: number,
    owner: number,
    budget: Budget,
    limits: { readonly maxMessageBytes: number; readonly now: number },
    refused: (reason: string) => void,
  ): TakenMessage[] {
    const rows = this.#ready.all(queue, most) as unknown as Row[];
    const taken: TakenMessage[] = [];
    for (const [priority, id, bytes, small] of rows) {
      if (budget.bytes <= 0) break;
      const text = bytes > limits.maxMessageBytes ? undefined : this.#textOf(id, small);
      if (text?.startsWith("{")) {
        budget.bytes -= bytes;
        taken.push({ id, priority, text });
        continue;
      }
      const reason = bytes > limits.maxMessageBytes
        ? `larger than the ${limits.maxMessageBytes} bytes that a message may have`
        : "not an envelope";
      this.#unready.run(queue, priority, id, id);
      this.#bury.bury(id, queue, reason, limits.now);
      refused(reason);
    }
    this.#claimRuns(queue, owner, taken);
    return taken;
  }

  /** Moves what was taken from ready to claimed: of one priority, it is all that is ready up to the last one taken. */
  #claimRuns(queue: string, owner: number, taken: readonly TakenMessage[]): void {
    for (let start = 0, end = 0; start < taken.length; start = end) {
      const { priority, id: first } = taken[start];
      while (end < taken.length && taken[end].priority === priority) end++;
      const last = taken[end - 1].id;
      this.#claim.run(owner, queue, priority, first, last);
      this.#unready.run(queue, priority, first, last);
    }
  }

  /** The text of a body, or undefined when its bytes are none. */
  #textOf(id: number, small: string | Uint8Array | null): string | undefined {
    const body = small ?? (this.#body.get(id) as { body: string | Uint8Array }).body;
    if (typeof body === "string" && !isDoubtful(body)) return body;
    return decodeStrictly(
      typeof body === "string" ? (this.#bytes.get(id) as { body: Uint8Array }).body : body,
    );
  }
}
