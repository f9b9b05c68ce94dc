import assert from "node:assert/strict";
import process from "node:process";
import { describe, it } from "node:test";
import { eventually, within } from "../conformance/patience.ts";
import { openTransport } from "../../runtime/transport/open.ts";
import type { BrokerUnavailableError } from "../../runtime/transport/transport.ts";
import { freePort, type RedisServer } from "../servers/redis.ts";
import { SentinelSetting } from "../servers/redis_sentinel.ts";
import { Workshop } from "../worker/workshop.ts";
import { Load } from "./load.ts";
import { below, seeded } from "./seed.ts";

/** How many tasks are under way; `TASKS=20000` for as many. */
const TASKS = Number(process.env.TASKS ?? 2_000);
const RECOVERY_MS = 45_000;

describe("a Redis with two replicas and three sentinels", () => {
  it(`loses none of ${TASKS} tasks that a replica has confirmed when its masters are killed, or stand still`, async () => {
    const random = seeded("Sentinel");
    const redis = await SentinelSetting.start();
    const shop = await Workshop.open({
      broker: `${redis.url}&replicas=1&replicas_timeout=20`,
      // What is acknowledged in vain comes back after a lease.
      settings: { publishTimeout: 30, brokerTransportOptions: { lease: 3 } },
    });
    try {
      const load = new Load(shop);
      const worker = await shop.worker("-c", "1", "--slots", "4");
      const duration = () => below(random, 5);
      let sent = 0;
      const without = async (what: string, harm: (master: RedisServer) => Promise<void>) => {
        load.send(TASKS / 4, duration);
        await within(60_000, load.reached(sent + TASKS / 8), "the moment to harm the master");
        const master = await redis.master();
        await harm(master);
        const harmed = performance.now();
        load.send(TASKS / 4, duration);
        await within(RECOVERY_MS, redis.failedOver(master), "another master");
        sent += TASKS / 2;
        await within(RECOVERY_MS, load.reached(sent), "the rest");
        const seconds = ((performance.now() - harmed) / 1000).toFixed(1);
        console.log(`Sentinel: the rest was done ${seconds} s after the master was ${what}`);
        return master;
      };
      const killed = await without("killed", (master) => master.kill());
      await killed.start();
      // Its connections stay open, and nobody answers there any more.
      const paused = await without("stopped", (master) => Promise.resolve(master.pause()));
      await within(RECOVERY_MS, load.complete(), "the last result");
      paused.resume();
      console.log(`Sentinel: ${TASKS} tasks, ${await load.secondRuns({ forgetful: true })} second runs`);
      // What was sent a second time, because nobody knew whether it had arrived, runs a second time.
      await eventually(async () => {
        assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 0 });
      }, RECOVERY_MS);
      assert.equal(await within(10_000, worker.stop(), "its end"), 0);
      await refuses(redis.url.replace("=shop", "=garage"), /know no master of the name "garage"/, true);
      const ports = await Promise.all([freePort(), freePort()]);
      const nobody = `redis+sentinel://127.0.0.1:${ports[0]},127.0.0.1:${ports[1]}/shop`;
      await refuses(nobody, /none of its sentinels answers .*refused.*; .*refused/, false);
    } finally {
      await shop[Symbol.asyncDispose]();
      await redis.stop();
    }
  });
});

async function refuses(url: string, message: RegExp, permanent: boolean): Promise<void> {
  const transport = await openTransport(url);
  await assert.rejects(transport.connect(), (error: BrokerUnavailableError) => {
    assert.match(error.message, message);
    assert.equal(error.permanent, permanent);
    return true;
  });
  await transport[Symbol.asyncDispose]();
}
