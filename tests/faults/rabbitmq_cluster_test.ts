import assert from "node:assert/strict";
import process from "node:process";
import { describe, it } from "node:test";
import { eventually, within } from "../conformance/patience.ts";
import { RabbitmqCluster } from "../servers/rabbitmq_cluster.ts";
import { Workshop } from "../worker/workshop.ts";
import { Load } from "./load.ts";
import { below, seeded } from "./seed.ts";

/** How many tasks are under way; `TASKS=20000` for as many. */
const TASKS = Number(process.env.TASKS ?? 2_000);
const RECOVERY_MS = 45_000;

describe("three nodes of RabbitMQ with a quorum queue", () => {
  it(`lose none of ${TASKS} tasks, nor a result, when the queue's leader is killed while they run`, async () => {
    const random = seeded("RabbitMQ's leader killed");
    const cluster = await RabbitmqCluster.start();
    const shop = await Workshop.open({
      broker: cluster.url("queue_type=quorum&heartbeat=2"),
      settings: { publishTimeout: 60 },
    });
    try {
      const load = new Load(shop);
      const worker = await shop.worker("-c", "1", "--slots", "4");
      const duration = () => below(random, 5);
      load.send(TASKS / 2, duration);
      await within(60_000, load.reached(TASKS / 8), "the moment to kill the leader");
      const leader = await cluster.leaderOf("celery");
      await leader.kill();
      const killed = performance.now();
      const done = load.done;
      load.send(TASKS / 2, duration);
      await within(RECOVERY_MS, load.reached(done + TASKS / 4), "results after that");
      console.log(
        `RabbitMQ: work went on within ${((performance.now() - killed) / 1000).toFixed(1)} s of the kill`,
      );
      await within(RECOVERY_MS, load.complete(), "the last result");
      console.log(`RabbitMQ: ${TASKS} tasks, ${await load.secondRuns()} second runs`);
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
