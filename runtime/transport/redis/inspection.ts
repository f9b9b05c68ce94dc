/** What an operator sees of the queues on a Redis, and may do with them: lengths, dead letters, purge, delete. */
import type { DeadLetter, QueueLength } from "../transport.ts";
import type { RedisConnection } from "./connection.ts";
import { type RedisKeys, separator } from "./keys.ts";
import { countHeldScript } from "./restore_scripts.ts";
import { purgeScript } from "./schedule_scripts.ts";

/** Keys or entries that one command looks at. */
const SCAN = 1_000;
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
    const held = await this.#held();
    return Promise.all(names.map(async (queue) => {
      const [delayed, dead, ...ready] = await Promise.all([
        this.#connection.send("zcard", [this.#keys.schedule(queue)]),
        this.#connection.send("llen", [this.#keys.dead(queue)]),
        ...this.#keys.lists(queue).map((list) => this.#connection.send("llen", [list])),
      ]) as number[];
      return {
        queue,
        ready: ready.reduce((sum, length) => sum + length, 0),
        delayed,
        unacked: held.get(queue) ?? 0,
        dead,
      };
    }));
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
      return { queue, reason, at, body: new Uint8Array(entry.subarray(end + 1)) };
    });
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

  async #held(): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    let cursor = "0";
    do {
      const [next, ...found] = await this.#connection.run(countHeldScript, 1, [
        this.#keys.unacked,
        this.#keys.prefix,
        cursor,
        SCAN,
      ]) as [string, ...(string | number)[]];
      for (let i = 0; i < found.length; i += 2) {
        const queue = found[i] as string;
        counts.set(queue, (counts.get(queue) ?? 0) + Number(found[i + 1]));
      }
      cursor = next;
    } while (cursor !== "0");
    return counts;
  }
}

/** A text that matches only itself in a pattern of Redis. */
function globEscaped(text: string): string {
  return text.replace(/[\\*?[\]]/g, "\\$&");
}
