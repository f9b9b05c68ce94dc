/** A queue as any program may fill it: entries of any bytes at all, past every check that a publisher makes. */
import { DatabaseSync } from "node:sqlite";
import { Redis } from "ioredis";
import { encodeEnvelope } from "../../runtime/protocol/envelope.ts";
import type { WireMessage } from "../../runtime/protocol/wire_message.ts";

/** The queue `celery` of a broker. */
export interface RawQueue {
  /** Adds entries in this order. */
  push(...entries: readonly (string | Uint8Array)[]): Promise<void>;
  close(): void;
}

const utf8 = new TextEncoder();
const bytesOf = (entry: string | Uint8Array) => typeof entry === "string" ? utf8.encode(entry) : entry;

/** The queue of a Redis, or of an SQLite file that a worker or client of ours has made. */
export function rawQueue(broker: string): RawQueue {
  if (broker.startsWith("redis:")) {
    const redis = new Redis(broker);
    return {
      push: async (...entries) => {
        await redis.lpush("celery", ...entries.map((entry) => Buffer.from(bytesOf(entry))));
      },
      close: () => redis.disconnect(),
    };
  }
  const db = new DatabaseSync(broker.replace("sqlite:", ""));
  db.exec("pragma busy_timeout = 5000");
  const addMessage = db.prepare("insert into message(body) values(cast(? as text))");
  const addReady = db.prepare(
    "insert into ready(queue, priority, id) values('celery', 0, last_insert_rowid())",
  );
  return {
    push(...entries) {
      db.exec("begin immediate");
      for (const entry of entries) {
        addMessage.run(bytesOf(entry));
        addReady.run();
      }
      db.exec("commit");
      return Promise.resolve();
    },
    close: () => db.close(),
  };
}

/** An envelope of a call of `task`, whose body is already written; `parts` replaces any of its parts. */
export function envelope(
  id: string,
  task: string,
  body: string | Uint8Array,
  parts: Partial<WireMessage> = {},
): string {
  return encodeEnvelope({
    exchange: "",
    routingKey: "celery",
    priority: 0,
    headers: { lang: "js", task, id, root_id: id, parent_id: null, ...parts.headers },
    contentType: parts.contentType ?? "application/json",
    contentEncoding: parts.contentEncoding ?? "utf-8",
    body,
    correlationId: id,
  });
}

/** The body of a call with one argument, which is JSON already. */
export function bodyOf(argument: string): string {
  return `[[${argument}], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`;
}
