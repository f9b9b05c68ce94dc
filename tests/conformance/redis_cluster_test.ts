/** On a Redis Cluster tasks, results and messages pass the same suites as on one Redis. */
import { Buffer } from "node:buffer";
import { after, before } from "node:test";
import { Cluster } from "ioredis";
import { systemClock } from "../../runtime/clock.ts";
import { openResultStore } from "../../runtime/results/open.ts";
import type { ResultStore } from "../../runtime/results/result_store.ts";
import { openTransport } from "../../runtime/transport/open.ts";
import { RedisClusterSetting } from "../servers/redis_cluster.ts";
import { channelSuite } from "./channels.ts";
import { PausableClock } from "./pausable_clock.ts";
import { chordStoreSuite } from "./chord_stores.ts";
import { type ResultStoreHarness, resultStoreSuite } from "./result_stores.ts";
import { type Peer, type TestBroker, transportSuite } from "./transports.ts";

const LEASE = 0.6;
let setting: RedisClusterSetting;
let admin: Cluster;

before(async () => {
  setting = await RedisClusterSetting.start();
  admin = new Cluster(setting.masters.map(({ port }) => ({ host: "127.0.0.1", port })));
});
after(async () => {
  admin.disconnect();
  await setting.stop();
});

async function empty(): Promise<void> {
  await Promise.all(admin.nodes("master").map((node) => node.flushall()));
}

transportSuite("redis cluster", {
  storesResults: false,
  async open(): Promise<TestBroker> {
    await empty();
    const open = new Set<() => Promise<void>>();
    return {
      lease: LEASE,
      now: () => Date.now(),
      pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      put: async (queue, item) => void await admin.lpush(`{${queue}}.${queue}`, Buffer.from(item)),
      async connect(options): Promise<Peer> {
        const clock = new PausableClock();
        const transport = await openTransport(setting.url, { clock, lease: LEASE, ...options });
        const results = await openResultStore(setting.url, { clock });
        await transport.connect();
        await results.connect();
        const close = async () => {
          open.delete(close);
          await Promise.all([transport[Symbol.asyncDispose](), results[Symbol.asyncDispose]()]);
        };
        open.add(close);
        return {
          transport,
          results,
          close,
          pause: () => clock.pause(),
          resume: () => Promise.resolve(clock.resume()),
          // What it held it neither settles nor hands back.
          crash: close,
        };
      },
      async close() {
        await Promise.all([...open].map((close) => close()));
      },
    };
  },
});

const harness: ResultStoreHarness = {
  async open() {
    await empty();
    const open: ResultStore[] = [];
    return {
      async connect() {
        const results = await openResultStore(setting.url, { clock: systemClock });
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

resultStoreSuite("redis cluster", harness);
chordStoreSuite("redis cluster", harness);

channelSuite("redis cluster", {
  async open() {
    await empty();
    return {
      url: setting.url,
      process: () => ({ ...systemClock }),
      pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      close: () => Promise.resolve(),
    };
  },
});
