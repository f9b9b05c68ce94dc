import assert from "node:assert/strict";
import process from "node:process";
import { describe, it } from "node:test";
import { eventually, within } from "../conformance/patience.ts";
import { RedisClusterSetting } from "../servers/redis_cluster.ts";
import { Workshop } from "../worker/workshop.ts";
import { Load } from "./load.ts";
import { below, seeded } from "./seed.ts";

/** How many tasks are under way; `TASKS=20000` for as many. */
const TASKS = Number(process.env.TASKS ?? 2_000);
const RECOVERY_MS = 45_000;

describe("a Redis Cluster of three masters and three replicas", () => {
  it(`loses none of ${TASKS} tasks, nor a result, that replicas have when the queue's master is killed`, async () => {
    const random = seeded("Redis Cluster");
    const cluster = await RedisClusterSetting.start({ replicas: true });
    const shop = await Workshop.open({
      broker: `${cluster.url}?replicas=1&replicas_timeout=20`,
      settings: { publishTimeout: 60 },
    });
    try {
      const load = new Load(shop);
      const worker = await shop.worker("-c", "1", "--slots", "4");
      const duration = () => below(random, 5);
      load.send(TASKS / 2, duration);
      await within(60_000, load.reached(TASKS / 8), "the moment to kill the master");
      const master = await cluster.masterOf("{celery}.celery");
      await master.kill();
      const killed = performance.now();
      const done = load.done;
      load.send(TASKS / 2, duration);
      // It comes back as a replica of the one that took its place: without one nothing could be confirmed.
      await cluster.failedOver(master);
      await master.start();
      await within(RECOVERY_MS, load.reached(done + TASKS / 4), "results after that");
      console.log(
        `Redis Cluster: work went on within ${
          ((performance.now() - killed) / 1000).toFixed(1)
        } s of the kill`,
      );
      await within(RECOVERY_MS, load.complete(), "the last result");
      console.log(`Redis Cluster: ${TASKS} tasks, ${await load.secondRuns()} second runs`);
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
