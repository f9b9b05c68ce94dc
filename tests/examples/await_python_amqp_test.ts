/** `examples/await_python.ts` awaits a task of a Python worker over RabbitMQ. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { startVhost, type TestVhost } from "../servers/rabbitmq.ts";
import { python } from "../servers/python.ts";
import type { TestWorker } from "../servers/worker.ts";
import { runExample, startPython } from "./program.ts";

describe("await_python.ts", () => {
  let vhost: TestVhost;
  let worker: TestWorker;

  before(async () => {
    const [interpreter, started] = await Promise.all([python(), startVhost()]);
    vhost = started;
    const command = ["-m", "celery", "--workdir", "examples", "-A", "slow_tasks", "worker"];
    worker = startPython(interpreter, [...command, "-Q", "reports", "-P", "solo", "-l", "INFO"], vhost.url);
    await worker.line(/ ready\.$/);
  });
  after(async () => {
    await worker?.kill();
    await vhost?.close();
  });

  it("gets the values, and its clock ticks while it waits", async () => {
    const lines = await runExample("await_python.ts", vhost.url);
    const ticks = lines.filter((line) => line.startsWith("tick "));
    assert.deepEqual(lines.filter((line) => !ticks.includes(line)), [
      "January, built by Python",
      "February, built by Python",
    ]);
    assert.deepEqual(ticks, ticks.map((_, i) => `tick ${i + 1}`));
    // Each value takes a second: who blocks while waiting for it ticks not once before it.
    assert.ok(lines.indexOf("tick 1") < lines.indexOf("January, built by Python"), lines.join("\n"));
    assert.ok(lines.indexOf("January, built by Python") < lines.lastIndexOf(ticks[ticks.length - 1]));
  });
});
