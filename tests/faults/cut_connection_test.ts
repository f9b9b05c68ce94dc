import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { eventually, within } from "../conformance/patience.ts";
import { startRedis } from "../servers/redis.ts";
import { startProxy } from "../servers/tcp_proxy.ts";
import { startWorker, type TestWorker } from "../servers/worker.ts";
import { JOBS, Workshop } from "../worker/workshop.ts";
import { Load } from "./load.ts";

const TASKS = 2_000;

describe("a worker whose connection is cut in the middle of what it fetches", () => {
  it("runs every task once and leaves nothing behind in unacked", async () => {
    const redis = await startRedis();
    const proxy = await startProxy(redis.port);
    const shop = await Workshop.open({ broker: redis.url });
    let worker: TestWorker | undefined;
    try {
      worker = await startWorker(["-A", JOBS, "-b", `redis://127.0.0.1:${proxy.port}/0`, "-c", "2"]);
      const load = new Load(shop);
      load.send(TASKS, () => 0);
      // Answers of that size are fetches. Cut before their first byte, in their first line, and in a message.
      const cuts = [0, 1, 700, 3_000, 20, 2_500];
      for (const [i, bytes] of cuts.entries()) {
        const cut = proxy.cutAfter(bytes, (data) => data.length > 3_500);
        await within(20_000, cut, `cut ${i + 1}`);
        load.send(TASKS, () => 0);
      }
      await within(30_000, load.complete(), "the last result");
      await eventually(async () => {
        assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 0 });
      });
      assert.equal(await load.secondRuns(), 0);
      assert.equal(await within(5_000, worker.stop(), "its end"), 0);
    } finally {
      await worker?.kill();
      await shop[Symbol.asyncDispose]();
      await proxy.close();
      await redis.stop();
    }
  });
});
