/** A pool with real isolates, in time that the test turns. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { describe, it } from "node:test";
import { resolveSettings } from "../../runtime/config/resolve.ts";
import { findModules } from "../../runtime/isolate/load_modules.ts";
import { encodeEnvelope } from "../../runtime/protocol/envelope.ts";
import { encodeTask } from "../../runtime/protocol/task_message.ts";
import type { Delivery } from "../../runtime/transport/transport.ts";
import { Pool } from "../../runtime/worker/pool.ts";
import { completeOptions, isolateSettings } from "../../runtime/worker/worker_options.ts";
import { eventually } from "../conformance/patience.ts";
import { FakeClock } from "../fake_clock.ts";

const MODULES = await findModules([fileURLToPath(new URL("./tasks.ts", import.meta.url))]);

function delivery(task: string, ...args: unknown[]): Delivery {
  const id = crypto.randomUUID();
  return {
    tag: id,
    queue: "q",
    text: encodeEnvelope(encodeTask({ id, task, args, kwargs: {}, queue: "q" })),
  };
}

describe("a pool", () => {
  it("says that there is room again after an isolate was held up and nothing was reported", async () => {
    const settings = resolveSettings({ from: "the test", settings: { brokerUrl: "memory:pool" } });
    const clock = new FakeClock();
    let told = 0;
    const pool = new Pool(isolateSettings(completeOptions({ settings, modules: [], slots: 3 })), clock, {
      finished() {},
      reported: () => void told++,
      state() {},
      log() {},
      relay: () => assert.fail("nothing is sent"),
      handBack: (deliveries) => assert.fail(`${deliveries.length} handed back`),
      died: (reason) => assert.fail(reason),
      restartFailed: (reason) => assert.fail(reason),
    });
    try {
      await pool.start(MODULES, 1);
      pool.dispatch([delivery("tasks.busyThenWait", 150), delivery("tasks.busyThenWait", 150)]);
      await clock.advance(41);
      assert.equal(pool.room, 0, "the second waits behind the first");
      await eventually(() => assert.equal(pool.running, 2));
      assert.equal(told, 0, "neither has anything to report");
      await clock.advance(20);
      assert.equal(pool.room, 1);
      assert.equal(told, 1);
    } finally {
      pool.terminate();
    }
  });
});
