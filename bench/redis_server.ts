/** The Redis that all contestants of a part share, each in a database of its own; private, gone when the part ends. */
import { Redis } from "ioredis";
import { App, type CallOptions } from "../mod.ts";
import { type RedisServer, startRedis } from "../tests/servers/redis.ts";

/** The queue that everybody's workers serve. */
export const QUEUE = "celery";
/** Where the backlog stands that drains are filled from: no contestant's database. */
const STORE = 15;
/** Calls that leave together when a backlog is published. */
const AT_ONCE = 1_000;
/** What stands in a database beside results. */
const BOUND = ["celery", "celery.pidbox", "celeryev", "reply.celery.pidbox"];
const OTHER_KEYS = [
  ...[QUEUE, "unacked", "unacked_index", "unacked_mutex", "unacked_restore"],
  ...BOUND.flatMap((name) => [`_kombu.binding.${name}`, `_kombu.binding_permanent.${name}`]),
];

export class BenchRedis {
  readonly port: number;
  readonly #server: RedisServer;
  readonly #connections = new Map<number, Redis>();

  /** Nothing is written to disk, for all contestants alike. */
  static async start(): Promise<BenchRedis> {
    return new BenchRedis(await startRedis({ config: { save: "", databases: "16" } }));
  }

  private constructor(server: RedisServer) {
    this.#server = server;
    this.port = server.port;
  }

  /** The URL of a contestant's database. */
  url(db: number): string {
    return `redis://127.0.0.1:${this.port}/${db}`;
  }

  /** A connection of the bench's own. */
  connection(db: number): Redis {
    let connection = this.#connections.get(db);
    if (connection === undefined) this.#connections.set(db, connection = new Redis(this.url(db)));
    return connection;
  }

  /** Publishes `count` calls that Celery and celeriac understand alike, once; {@linkcode BenchRedis.fill} copies them. */
  async prepare(name: string, count: number, task: string, args: readonly unknown[]): Promise<void> {
    await publish(this.url(STORE), count, task, args);
    await this.connection(STORE).rename(QUEUE, `backlog.${name}`);
  }

  /** Empties a database, then puts a prepared backlog into its queue. */
  async fill(db: number, name: string): Promise<void> {
    await this.connection(db).flushdb();
    await this.copy(name, db, QUEUE);
  }

  /** Copies a prepared backlog to a key of a database. */
  async copy(name: string, db: number, key: string): Promise<void> {
    await this.connection(STORE).call("COPY", `backlog.${name}`, key, "DB", db);
  }

  /** Results of Celery's kind in a database: all keys that are not known to be something else. */
  async results(db: number): Promise<number> {
    const redis = this.connection(db);
    const [keys, others] = await Promise.all([redis.dbsize(), redis.exists(...OTHER_KEYS)]);
    return Math.max(0, keys - others);
  }

  /** Jobs that BullMQ has completed in a database. */
  completedJobs(db: number): Promise<number> {
    return this.connection(db).zcard("bull:bench:completed");
  }

  /** Milliseconds of processor time that the server has taken so far. */
  async cpu(): Promise<number> {
    const info = await this.connection(STORE).info("cpu");
    const seconds = (name: string) => Number(new RegExp(`${name}:([\\d.]+)`).exec(info)?.[1]);
    return (seconds("used_cpu_user") + seconds("used_cpu_sys")) * 1000;
  }

  async version(): Promise<string> {
    return /redis_version:(\S+)/.exec(await this.connection(STORE).info("server"))?.[1] ?? "";
  }

  async stop(): Promise<void> {
    for (const connection of this.#connections.values()) connection.disconnect();
    await this.#server.stop();
  }
}

/** Publishes calls in bulk. */
export async function publish(
  url: string,
  count: number,
  task: string,
  args: readonly unknown[],
  queue: string = QUEUE,
  options: CallOptions = {},
): Promise<void> {
  const app = new App({ broker: url });
  for (let left = count; left > 0; left -= AT_ONCE) {
    let last;
    for (let i = Math.min(left, AT_ONCE); i > 0; i--) {
      last = app.sendTask(task, args, {}, { queue, ...options });
    }
    await last!.published;
  }
  await app.disconnect();
}
