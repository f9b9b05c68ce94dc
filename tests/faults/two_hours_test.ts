import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { eventually, within } from "../conformance/patience.ts";
import { startRedis } from "../servers/redis.ts";
import { marksIn, Workshop } from "../worker/workshop.ts";

/** Seconds; what is 15 and 3600 by default. */
const LEASE = 0.6;
const LEASES = 8;

/** Tasks that last for many leases, one that leaves its isolate free and one that blocks it, beside an idle worker. */
async function runsOnce(broker?: string): Promise<void> {
  const brokerTransportOptions = { lease: LEASE, visibilityTimeout: LEASE };
  const shop = await Workshop.open({ broker, settings: { brokerTransportOptions } });
  try {
    const file = shop.file("marks");
    const gate = shop.gate();
    const busy = await shop.worker("-c", "2");
    const long = [shop.jobs.markAndHold(file, gate.path), shop.jobs.markAndBlock(file, gate.path)];
    await eventually(async () => assert.equal((await marksIn(file)).length, 2));
    const peer = await shop.worker("-c", "2");
    await new Promise((resolve) => setTimeout(resolve, LEASES * LEASE * 1000));
    // The peer is there and works all the time.
    assert.equal(await within(5_000, shop.jobs.whoRan(), "a short task"), peer.pid);
    await gate.open();
    assert.deepEqual(await within(5_000, Promise.all(long), "the long tasks"), ["let go", "let go"]);
    assert.deepEqual(
      (await marksIn(file)).map(({ again, pid }) => [again, pid]),
      [[false, busy.pid], [false, busy.pid]],
    );
    assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 0 });
    for (const worker of [busy, peer]) {
      assert.deepEqual(worker.lines.filter((line) => /"level":"(warning|error)"/.test(line)), []);
    }
  } finally {
    await shop[Symbol.asyncDispose]();
  }
}

describe(`a task that lasts ${LEASES} leases and visibility timeouts, beside an idle worker`, () => {
  it("runs once on SQLite", () => runsOnce());

  it("runs once on Redis", async () => {
    const redis = await startRedis();
    try {
      await runsOnce(redis.url);
    } finally {
      await redis.stop();
    }
  });
});
