import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { within } from "../conformance/patience.ts";
import { startRedis } from "../servers/redis.ts";
import { Workshop } from "../worker/workshop.ts";
import { Fleet } from "./fleet.ts";
import { Load } from "./load.ts";
import { below, seeded } from "./seed.ts";

const TASKS = 20_000;
const RECOVERY_MS = 30_000;

describe("a Redis that writes all it accepts to disk", () => {
  it(`loses none of ${TASKS} tasks when it is restarted, and killed, while they are sent and run`, async () => {
    const name = "Redis restarted";
    const random = seeded(name);
    const redis = await startRedis({ appendonly: true });
    const shop = await Workshop.open({ broker: redis.url });
    try {
      const load = new Load(shop);
      const fleet = await Fleet.start(shop, 3, "-c", "2", "--slots", "4");
      const duration = () => below(random, 5);
      load.send(TASKS / 2, duration);

      await within(60_000, load.reached(below(random, TASKS / 8)), "the moment to restart it");
      await redis.shutdown();
      load.send(TASKS / 4, duration);
      await redis.start();

      await within(60_000, load.reached(TASKS / 4 + below(random, TASKS / 8)), "the moment to kill a worker");
      await fleet.killOne(random);

      await within(60_000, load.reached(TASKS / 2 + below(random, TASKS / 8)), "the moment to kill it");
      // A worker that is still starting ends when there is no Redis; whoever runs it starts it again.
      await fleet.ready();
      await redis.kill();
      load.send(TASKS / 4, duration);
      await redis.start();

      const back = performance.now();
      await within(RECOVERY_MS, load.complete(), "the last result");
      const seconds = ((performance.now() - back) / 1000).toFixed(1);
      const again = await load.secondRuns();
      console.log(
        `${name}: ${TASKS} tasks, ${again} second runs; all results ${seconds} s after the last start`,
      );
      assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 0 });
      await fleet.ready();
    } finally {
      await shop[Symbol.asyncDispose]();
      await redis.stop();
    }
  });
});
