/** A Redis server for a file of tests, and processes on it that its tests play. */
import { after, before, beforeEach } from "node:test";
import { Redis } from "ioredis";
import { systemClock } from "../../runtime/clock.ts";
import { openRedisTransport } from "../../runtime/transport/redis.ts";
import type { Delivery, Receiver, Transport, TransportOptions } from "../../runtime/transport/transport.ts";
import { Heard, taskMessage } from "../conformance/transports.ts";
import { type RedisServer, type RedisServerOptions, startRedis } from "../servers/redis.ts";

/** A server that is started before a file's tests and emptied before each. */
export class RedisSetting {
  server!: RedisServer;
  /** A connection of the test's own. */
  admin!: Redis;
  readonly #opened: AsyncDisposable[] = [];
  #workers = 0;

  constructor(options: RedisServerOptions = {}) {
    before(async () => {
      this.server = await startRedis(options);
      this.admin = new Redis(this.server.port, { password: options.password });
      this.admin.on("error", () => {});
    });
    beforeEach(async () => void await this.admin.flushall());
    after(async () => {
      await this.close();
      this.admin.disconnect();
      await this.server.stop();
    });
  }

  /** A transport, not connected, with a lease of 0.6 s, closed when the file's tests end. */
  transport(url: string = this.server.url, options: Partial<TransportOptions> = {}): Transport {
    const transport = openRedisTransport(url, {
      clock: systemClock,
      random: Math.random,
      lease: 0.6,
      visibilityTimeout: 3600,
      maxDeliveries: 5,
      maxMessageBytes: 16 * 1024 * 1024,
      ...options,
    });
    this.#opened.push(transport);
    return transport;
  }

  /** A worker's receiver. */
  async work(
    transport: Transport,
    queues: readonly string[] = ["celery"],
  ): Promise<{ receiver: Receiver; heard: Heard; worker: string }> {
    const heard = new Heard();
    const worker = `worker${++this.#workers}@test`;
    await transport.connect();
    return { receiver: await transport.receive({ queues, worker, events: heard }), heard, worker };
  }

  /** Closes all transports. */
  async close(): Promise<void> {
    await Promise.all(this.#opened.splice(0).map((open) => open[Symbol.asyncDispose]()));
  }

  /** What everybody holds: names of tags to entries. */
  unacked(): Promise<Record<string, string>> {
    return this.admin.hgetall("unacked");
  }
}

/** Publishes task messages with these ids to a queue. */
export function publish(transport: Transport, queue: string, ...ids: string[]): Promise<void> {
  return transport.publish(ids.map((id) => taskMessage(queue, id)));
}

/** The ids of the tasks in deliveries, or in texts of lists. */
export function idsOf(found: readonly (Delivery | string)[]): string[] {
  return found.map((item) => JSON.parse(typeof item === "string" ? item : item.text).headers.id);
}

/** Milliseconds of real time, for what only a server's own clock can bring about. */
export function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
