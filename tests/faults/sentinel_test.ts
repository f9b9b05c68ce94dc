import assert from "node:assert/strict";
import process from "node:process";
import { describe, it } from "node:test";
import { eventually, within } from "../conformance/patience.ts";
import { SentinelSetting } from "../servers/redis_sentinel.ts";
import { Workshop } from "../worker/workshop.ts";
import { Load } from "./load.ts";
import { below, seeded } from "./seed.ts";

/** How many tasks are under way; `TASKS=20000` for as many. */
const TASKS = Number(process.env.TASKS ?? 2_000);
const RECOVERY_MS = 45_000;

describe("a Redis with two replicas and three sentinels", () => {
  it(`loses none of ${TASKS} tasks that a replica has confirmed when its master is killed`, async () => {
    const random = seeded("Sentinel");
    const redis = await SentinelSetting.start();
    const shop = await Workshop.open({
      broker: `${redis.url}&replicas=1&replicas_timeout=20`,
      settings: { publishTimeout: 30 },
    });
    try {
      const load = new Load(shop);
      const worker = await shop.worker("-c", "2", "--slots", "4");
      const duration = () => below(random, 5);
      load.send(TASKS / 2, duration);
      await within(60_000, load.reached(TASKS / 8), "the moment to kill the master");
      const master = await redis.master();
      await master.kill();
      const killed = performance.now();
      load.send(TASKS / 2, duration);
      await within(RECOVERY_MS, load.reached(TASKS * 5 / 8), "a result after that");
      console.log(
        `Sentinel: work went on ${((performance.now() - killed) / 1000).toFixed(1)} s after the kill`,
      );
      await within(RECOVERY_MS, load.complete(), "the last result");
      const again = await load.secondRuns();
      console.log(`Sentinel: ${TASKS} tasks, ${again} second runs`);
      assert.notEqual((await redis.master()).port, master.port);
      // What was sent a second time, because nobody knew whether it had arrived, runs a second time.
      await eventually(async () => {
        assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 0 });
      }, RECOVERY_MS);
      assert.equal(await within(10_000, worker.stop(), "its end"), 0);
    } finally {
      await shop[Symbol.asyncDispose]();
      await redis.stop();
    }
  });
});
