/** `make demo-timers` shows what it says, on a Redis of its own and over RabbitMQ. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { startVhost, type TestVhost } from "../servers/rabbitmq.ts";
import { startExample } from "./program.ts";

/** Runs the demo; the lines of its worker, in their order. */
async function demo(...args: string[]): Promise<string[]> {
  const program = startExample("demo_timers.ts", "", { args });
  assert.equal(await program.exited, 0, program.lines.join("\n"));
  return [...program.lines];
}

function assertShown(lines: readonly string[]): void {
  const at = (pattern: RegExp) => {
    const index = lines.findIndex((line) => line.startsWith("worker") && pattern.test(line));
    assert.ok(index >= 0, `${pattern} in\n${lines.join("\n")}`);
    return index;
  };
  assert.ok(at(/first: 3 \.\.\. to call it off/) < at(/first: 2 \.\.\./));
  assert.ok(at(/first: 2 \.\.\./) < at(/first: lift-off!/));
  assert.ok(at(/second: 30 \.\.\. to call it off/) < at(/second is called off: cancelled, cancelled/));
  assert.ok(!lines.some((line) => line.includes("second: lift-off!")));
  at(/2 timers of this worker's memory ended with it.*countdown\.(tick|liftOff) at /);
}

describe("make demo-timers", () => {
  let vhost: TestVhost | undefined;
  before(async () => {
    vhost = await startVhost();
  });
  after(() => vhost?.close());

  it("counts down on a Redis of its own", async () => {
    const lines = await demo();
    assert.ok(lines.some((line) => line.includes("LPUSH celery")), lines.join("\n"));
    assertShown(lines);
  });

  it("counts down over RabbitMQ", async () => assertShown(await demo(vhost!.url)));
});
