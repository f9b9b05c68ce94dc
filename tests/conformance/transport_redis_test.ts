/** The Redis transport passes the suite of all transports, each process a connection of its own to a real server. */
import { Buffer } from "node:buffer";
import { after, before } from "node:test";
import { Redis } from "ioredis";
import { openRedisResults } from "../../runtime/results/redis.ts";
import { openRedisTransport } from "../../runtime/transport/redis.ts";
import { type RedisServer, startRedis } from "../servers/redis.ts";
import { startProxy } from "../servers/tcp_proxy.ts";
import { PausableClock } from "./pausable_clock.ts";
import { type Peer, type TestBroker, transportSuite } from "./transports.ts";

const LEASE = 0.9;
let server: RedisServer;
let admin: Redis;

before(async () => {
  server = await startRedis();
  admin = new Redis(server.port);
});
after(async () => {
  await admin.quit();
  await server.stop();
});

transportSuite("redis", {
  storesResults: true,
  async open(): Promise<TestBroker> {
    await admin.flushall();
    const open = new Set<() => Promise<void>>();
    return {
      lease: LEASE,
      now: () => Date.now(),
      pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      put: async (queue, item) => void await admin.lpush(queue, Buffer.from(item)),
      async connect(options): Promise<Peer> {
        // A process that is killed leaves its connections cut.
        const proxy = await startProxy(server.port);
        const clock = new PausableClock();
        const url = server.url.replace(String(server.port), String(proxy.port));
        const transport = openRedisTransport(url, {
          clock,
          random: Math.random,
          lease: LEASE,
          visibilityTimeout: 3600,
          maxDeliveries: 5,
          maxMessageBytes: 16 * 1024 * 1024,
          ...options,
        });
        const results = openRedisResults(url, { clock });
        await transport.connect();
        await results.connect();
        const close = async () => {
          open.delete(close);
          await Promise.all([transport[Symbol.asyncDispose](), results[Symbol.asyncDispose]()]);
          await proxy.close();
        };
        open.add(close);
        return {
          transport,
          results,
          close,
          pause: () => clock.pause(),
          resume: () => Promise.resolve(clock.resume()),
          async crash() {
            proxy.refuse();
            proxy.cut();
            await close();
          },
        };
      },
      async close() {
        await Promise.all([...open].map((close) => close()));
      },
    };
  },
});
