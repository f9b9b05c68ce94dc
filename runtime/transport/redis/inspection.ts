/** What an operator sees of the queues on a Redis, and may do with them: lengths, dead letters, purge, delete. */
import { createHash } from "node:crypto";
import { revive } from "../revive.ts";
import type { DeadLetter, QueueLength } from "../transport.ts";
import type { RedisConnection } from "./connection.ts";
import { prioritySteps, type RedisKeys, separator, stepOf } from "./keys.ts";
import { lengthsScript } from "./lengths_script.ts";
import { reviveScript } from "./revive_script.ts";
import { purgeScript } from "./schedule_scripts.ts";

/** Keys or entries that one command looks at. */
const SCAN = 1_000;
/** Letters that one script moves, and their bytes, at most. */
const MOVE = { letters: 100, bytes: 4 * 1024 * 1024 };
/** Exchanges whose queues carry no tasks: remote control, events, and the replies. */
const notOfTasks = ["celery.pidbox", "reply.celery.pidbox", "celeryev"];

export class RedisInspection {
  readonly #connection: RedisConnection;
  readonly #keys: RedisKeys;

  constructor(connection: RedisConnection, keys: RedisKeys) {
    this.#connection = connection;
    this.#keys = keys;
  }

  async lengths(queues?: readonly string[]): Promise<QueueLength[]> {
    const names = queues ?? await this.#knownQueues();
    const { unacked, prefix } = this.#keys;
    const keys = [unacked];
    for (const queue of names) {
      keys.push(this.#keys.schedule(queue), this.#keys.dead(queue), ...this.#keys.lists(queue));
    }
    const held = new Map<string, number>();
    let counts: number[];
    let cursor = "0";
    do {
      const args = [...keys, prefix, cursor, SCAN, prioritySteps.length];
      const [next, ...rest] = await this.#connection.run(lengthsScript, keys.length, args) as [
        string,
        ...(string | number)[],
      ];
      counts = rest.splice(0, 3 * names.length) as number[];
      for (let i = 0; i < rest.length; i += 2) {
        const queue = rest[i] as string;
        held.set(queue, (held.get(queue) ?? 0) + Number(rest[i + 1]));
      }
      cursor = next;
    } while (cursor !== "0");
    return names.map((queue, i) => {
      const [ready, delayed, dead] = counts.slice(3 * i);
      return { queue, ready, delayed, unacked: held.get(queue) ?? 0, dead };
    });
  }

  async purge(queue: string): Promise<number> {
    const keys = [this.#keys.schedules, this.#keys.schedule(queue), this.#keys.scheduled(queue)];
    keys.push(...this.#keys.lists(queue));
    return await this.#connection.run(purgeScript, keys.length, [...keys, queue]) as number;
  }

  async deleteQueue(queue: string): Promise<void> {
    await this.purge(queue);
    const start = this.#keys.bindings("");
    await this.#scan(`${globEscaped(start)}*`, async (key) => {
      const members = await this.#connection.send("smembers", [key]) as string[];
      const bound = members.filter((member) =>
        member.slice(member.lastIndexOf(separator) + separator.length) === queue
      );
      if (bound.length === 0) return;
      const permanent = this.#keys.permanentBindings(key.slice(start.length));
      await Promise.all([
        this.#connection.send("srem", [key, ...bound]),
        this.#connection.send("srem", [permanent, ...bound]),
      ]);
    });
  }

  async deadLetters(queue: string, limit: number): Promise<DeadLetter[]> {
    if (limit <= 0) return [];
    const entries = await this.#connection.sendBytes("lrange", [
      this.#keys.dead(queue),
      0,
      limit - 1,
    ]) as Uint8Array[];
    return entries.map((entry) => {
      const end = entry.indexOf(10);
      const { reason, at } = JSON.parse(new TextDecoder().decode(entry.subarray(0, end)));
      // A copy, so that it does not keep the whole answer in memory.
      return { tag: hashOf(entry), queue, reason, at, body: new Uint8Array(entry.subarray(end + 1)) };
    });
  }

  /** One whose queue's key holds something else stays where it is. */
  requeueDead(letters: readonly DeadLetter[]): Promise<number> {
    return this.#moveDead(letters, ({ queue, body }) => {
      const { text, priority } = revive(body);
      return { list: this.#keys.list(queue, stepOf(priority)), text: text ?? "" };
    });
  }

  dropDead(letters: readonly DeadLetter[]): Promise<number> {
    return this.#moveDead(letters, () => ({ list: "", text: "" }));
  }

  async #moveDead(
    letters: readonly DeadLetter[],
    placeOf: (letter: DeadLetter) => { list: string; text: string },
  ): Promise<number> {
    let moved = 0;
    const queues = new Set(letters.map(({ queue }) => queue));
    for (const queue of queues) {
      for (const part of inParts(letters.filter((letter) => letter.queue === queue))) {
        let wanted = part;
        for (let from = 0; from >= 0 && wanted.length > 0;) {
          const args = wanted.flatMap((letter) => {
            const { list, text } = placeOf(letter);
            return [String(letter.tag), list, text];
          });
          const [next, found] = await this.#connection.run(reviveScript, 1, [
            this.#keys.dead(queue),
            from,
            ...args,
          ]) as [number, string[]];
          moved += found.length;
          wanted = wanted.filter(({ tag }) => {
            const index = found.indexOf(String(tag));
            if (index >= 0) found.splice(index, 1);
            return index < 0;
          });
          from = next;
        }
      }
    }
    return moved;
  }

  /** Every queue that somebody declared, or that has dead letters or delayed messages. */
  async #knownQueues(): Promise<string[]> {
    const queues = new Set<string>();
    const start = this.#keys.bindings("");
    await this.#scan(`${globEscaped(start)}*`, async (key) => {
      if (notOfTasks.includes(key.slice(start.length))) return;
      for (const member of await this.#connection.send("smembers", [key]) as string[]) {
        queues.add(member.slice(member.lastIndexOf(separator) + separator.length));
      }
    });
    const dead = this.#keys.dead("");
    await this.#scan(
      `${globEscaped(dead)}*`,
      (key) => Promise.resolve(void queues.add(key.slice(dead.length))),
    );
    for (const queue of await this.#connection.send("smembers", [this.#keys.schedules]) as string[]) {
      queues.add(queue);
    }
    return [...queues].sort();
  }

  async #scan(pattern: string, visit: (key: string) => Promise<void>): Promise<void> {
    let cursor = "0";
    do {
      const [next, keys] = await this.#connection.send("scan", [cursor, "match", pattern, "count", SCAN]) as [
        string,
        string[],
      ];
      await Promise.all(keys.map(visit));
      cursor = next;
    } while (cursor !== "0");
  }
}

/** A text that matches only itself in a pattern of Redis. */
function globEscaped(text: string): string {
  return text.replace(/[\\*?[\]]/g, "\\$&");
}

/** The name of a dead letter. */
function hashOf(entry: Uint8Array): string {
  return createHash("sha1").update(entry).digest("hex");
}

function* inParts(letters: readonly DeadLetter[]): Generator<readonly DeadLetter[]> {
  let part: DeadLetter[] = [];
  let bytes = 0;
  for (const letter of letters) {
    if (part.length === MOVE.letters || (bytes > 0 && bytes + letter.body.length > MOVE.bytes)) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(letter);
    bytes += letter.body.length;
  }
  if (part.length > 0) yield part;
}
