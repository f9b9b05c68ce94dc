/**
 * Tasks that take too long: one that ends in its own way when its time is over, two that are ended, and what their caller
 * sees. The limits stand in `tasks/patience.ts`; a call may set its own.
 *
 *     ./celeriac worker -A tasks
 *     deno run -A examples/time_limits.ts        (or: bun examples/time_limits.ts)
 */
import { App, SoftTimeLimitExceeded, TimeLimitExceeded } from "../mod.ts";

const app = new App();
const patience = app.module<typeof import("../tasks/patience.ts")>("patience");

// A soft limit is told to the task, which ends as it likes.
console.log("gather:", await patience.gather());

// Or it gives up, and fails.
try {
  await patience.download();
} catch (error) {
  if (!(error instanceof SoftTimeLimitExceeded)) throw error;
  console.log("gave up:", error.type);
}

// A hard limit ends the isolate in which the task runs, that one alone, and the task fails.
for (const task of [patience.waitForGodot, patience.countToInfinity]) {
  try {
    await task();
  } catch (error) {
    if (!(error instanceof TimeLimitExceeded)) throw error;
    console.log("too long:", error.message);
  }
}

// The limits of a call win over those of its task.
try {
  await app.sendTask("patience.waitForGodot", [], {}, { timeLimit: 0.1 });
} catch (error) {
  console.log("sooner:", String(error));
}

console.log(await patience.concentrate("on one thing"));
await app.disconnect();
