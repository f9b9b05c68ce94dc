/** What a worker does while its broker is away. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { App } from "../../mod.ts";
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

it("a worker whose grace is over while Redis is away says that what has ended runs again", async () => {
  const redis = await startRedis();
  const app = new App({ broker: redis.url });
  try {
    const flags = ["-c", "1", "-l", "info", "--grace", "0.1"];
    const worker = await startWorker(["-A", "tests/worker/limited.ts", "-b", redis.url, ...flags]);
    await app.sendTask("limited.alone", [500]).published;
    await worker.line(/"message":"alone"/);
    await redis.kill();
    await worker.line(/Lost redis:/);
    await worker.line(/succeeded in/);
    worker.signal("SIGTERM");
    await worker.line(/0\.1 s of grace are over, and what has ended could not be settled/);
    await worker.exited;
  } finally {
    await app.disconnect();
    await redis.stop();
  }
});
