/** What a worker does while its broker is away. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { startRedis } from "../servers/redis.ts";
import { startWorker } from "../servers/worker.ts";

it("a worker that is told to stop while Redis is away, with nothing to settle, ends at once", async () => {
  const redis = await startRedis();
  try {
    const worker = await startWorker(["-A", "tasks/math.ts", "-b", redis.url, "-c", "1"]);
    await redis.kill();
    await worker.line(/Lost redis:/);
    assert.equal(await worker.stop(), 0);
    // It never was: an empty step to the broker that succeeds by doing nothing is no connection.
    assert.deepEqual(worker.lines.filter((line) => /Connected to/.test(line)), []);
    assert.match(worker.lines.at(-1)!, /has stopped/);
  } finally {
    await redis.stop();
  }
});
