import assert from "node:assert/strict";
import process from "node:process";
import { describe, it } from "node:test";
import { eventually, within } from "../conformance/patience.ts";
import type { RedisServer } from "../servers/redis.ts";
import { RedisClusterSetting } from "../servers/redis_cluster.ts";
import { Workshop } from "../worker/workshop.ts";
import { Load } from "./load.ts";
import { below, seeded } from "./seed.ts";

/** How many tasks are under way; `TASKS=20000` for as many. */
const TASKS = Number(process.env.TASKS ?? 2_000);
const RECOVERY_MS = 45_000;

/** A key of the queue. */
const QUEUE = "{celery}.celery";

type Repair = () => Promise<void>;

describe("a Redis Cluster of three masters and three replicas", () => {
  it(`loses none of ${TASKS} tasks, nor a result, when masters that have both are killed, or stand still`, async () => {
    const random = seeded("Redis Cluster");
    const cluster = await RedisClusterSetting.start({ replicas: true });
    // What a master has confirmed a replica has, too.
    const shop = await Workshop.open({
      broker: `${cluster.url}?replicas=1&replicas_timeout=20`,
      // What is acknowledged in vain comes back after a lease.
      settings: { publishTimeout: 60, brokerTransportOptions: { lease: 3 } },
    });
    try {
      const load = new Load(shop);
      const worker = await shop.worker("-c", "1", "--slots", "4");
      const duration = () => below(random, 5);
      let sent = 0;
      let witness = cluster.masters[0];
      const without = async (what: string, harm: (master: RedisServer) => Promise<Repair>) => {
        load.send(TASKS / 4, duration);
        await within(60_000, load.reached(sent + TASKS / 8), "the moment to harm the master");
        const master = await cluster.masterOf(QUEUE, witness);
        witness = cluster.replicas.find((server) => server !== master)!;
        const repair = await harm(master);
        const harmed = performance.now();
        load.send(TASKS / 4, duration);
        await within(RECOVERY_MS, cluster.failedOver(QUEUE, master), "another master");
        // It comes back as a replica of the one that took its place: without one nothing could be confirmed.
        await repair();
        sent += TASKS / 2;
        await within(RECOVERY_MS, load.reached(sent), "the rest");
        const seconds = ((performance.now() - harmed) / 1000).toFixed(1);
        console.log(`Redis Cluster: the rest was done ${seconds} s after the master was ${what}`);
      };
      await without("killed", async (master) => {
        await master.kill();
        return () => master.start();
      });
      await without("stopped", (master) => {
        master.pause();
        return Promise.resolve(() => Promise.resolve(master.resume()));
      });
      await within(RECOVERY_MS, load.complete(), "the last result");
      console.log(`Redis Cluster: ${TASKS} tasks, ${await load.secondRuns({ forgetful: true })} second runs`);
      // What was sent a second time, because nobody knew whether it had arrived, runs a second time.
      await eventually(async () => {
        assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 0 });
      }, RECOVERY_MS);
      assert.equal(await within(10_000, worker.stop(), "its end"), 0);
    } finally {
      await shop[Symbol.asyncDispose]();
      await cluster.stop();
    }
  });
});
