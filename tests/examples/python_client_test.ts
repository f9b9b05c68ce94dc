/** `examples/python_client.py` calls tasks in TypeScript. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { python } from "../servers/python.ts";
import { type RedisServer, startRedis } from "../servers/redis.ts";
import { startWorker, type TestWorker } from "../servers/worker.ts";
import { runPython } from "./program.ts";

describe("python_client.py", () => {
  let redis: RedisServer, worker: TestWorker | undefined, interpreter: string;
  before(async () => {
    [redis, interpreter] = await Promise.all([startRedis(), python()]);
    worker = await startWorker(["-A", "tasks", "-c", "1", "-b", redis.url]);
  });
  after(async () => {
    await worker?.stop();
    await redis.stop();
  });

  it("gets values and errors from tasks in TypeScript", async () => {
    assert.deepEqual(await runPython(interpreter, "python_client.py", redis.url), [
      "math.add: 3",
      "text.greet: Good morning, Ada!",
      "a moment later: Hello, Grace!",
      "an error: RangeError nothing to be done",
    ]);
  });
});
