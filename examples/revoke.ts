/**
 * Tasks that are called off: one before it starts, one while it runs, and who is asked how far it is.
 *
 *     ./celeriac worker -A tasks
 *     deno run -A examples/revoke.ts        (or: bun examples/revoke.ts)
 */
import { App, TaskRevokedError } from "../mod.ts";

const app = new App();
const text = app.module<typeof import("../tasks/text.ts")>("text");

/** What a call comes to. */
async function outcome(result: PromiseLike<unknown>): Promise<string> {
  try {
    return `returned ${await result}`;
  } catch (error) {
    if (!(error instanceof TaskRevokedError)) throw error;
    return `${error.name}: ${error.message}`;
  }
}

// Before it starts: it is dropped by whichever worker has it, or receives it.
const later = text.countDown.applyAsync({ args: [1], countdown: 2 });
await later.revoke();
console.log("later:", await outcome(later));

// While it runs: `terminate` ends it, and nothing else.
const long = text.countDown(1000);
await new Promise<void>((resolve) => {
  const stop = long.onProgress(() => {
    stop();
    resolve();
  });
});
const found = await app.control.queryTask(long.id, { timeout: 10, limit: 1 });
const [[phase]] = Object.values(found).flatMap((tasks) => Object.values(tasks as Record<string, [string]>));
console.log("long:", phase);
await long.revoke({ terminate: true });
console.log("long:", await outcome(long));

await app.disconnect();
