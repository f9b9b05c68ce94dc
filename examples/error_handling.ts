/**
 * What can go wrong with a call, and how it arrives: an error that the task threw, a wait that was too long, a wait
 * that the caller gave up.
 *
 *     ./celeriac worker -A tasks
 *     deno run -A examples/error_handling.ts        (or: bun examples/error_handling.ts)
 */
import { App, ResultTimeoutError, TaskError } from "../mod.ts";

const app = new App();
const text = app.module<typeof import("../tasks/text.ts")>("text");

// What the task throws, its caller catches: as a TaskError with the name that the error had there.
try {
  await text.fail("nothing to be done");
} catch (error) {
  if (!(error instanceof TaskError)) throw error;
  console.log(`the task failed: ${error.type}: ${error.message}`);
  console.log("where:", error.traceback?.match(/\w+\.ts:\d+/)?.[0]);
}

// Waiting ends after `timeout` seconds; the task goes on.
const slow = text.countDown(10);
try {
  await slow.get({ timeout: 0.1 });
} catch (error) {
  if (!(error instanceof ResultTimeoutError)) throw error;
  console.log("not done yet:", error.message.replace(slow.id, "ID"));
}

// Waiting ends when a signal says so; the task goes on, too.
const controller = new AbortController();
setTimeout(() => controller.abort(new Error("the visitor has left")), 100);
try {
  await slow.get({ signal: controller.signal });
} catch (error) {
  console.log("given up:", String(error));
}

// An error may be looked at without being thrown.
const failed = text.fail("twice");
console.log("status:", await failed.get({ propagate: false }).then(() => failed.status));

console.log("done after all:", await slow);
await app.disconnect();
