/** The Redis result store passes the suite of all result stores, against a real server. */
import { after, before } from "node:test";
import { Redis } from "ioredis";
import { systemClock } from "../../runtime/clock.ts";
import { openRedisResults } from "../../runtime/results/redis.ts";
import type { ResultStore } from "../../runtime/results/result_store.ts";
import { type RedisServer, startRedis } from "../servers/redis.ts";
import { chordStoreSuite } from "./chord_stores.ts";
import { type ResultStoreHarness, resultStoreSuite } from "./result_stores.ts";

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

const harness: ResultStoreHarness = {
  async open() {
    await admin.flushall();
    const open: ResultStore[] = [];
    return {
      async connect() {
        const results = openRedisResults(server.url, { clock: systemClock });
        open.push(results);
        await results.connect();
        return results;
      },
      pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      async close() {
        await Promise.all(open.map((results) => results[Symbol.asyncDispose]()));
      },
    };
  },
};

resultStoreSuite("redis", harness);
chordStoreSuite("redis", harness);
