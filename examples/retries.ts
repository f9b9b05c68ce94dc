/**
 * Tasks that are tried again: the caller waits for one result, however many runs it takes.
 *
 *     ./celeriac worker -A examples/retries_tasks.ts
 *     deno run -A examples/retries.ts        (or: bun examples/retries.ts)
 */
import { setTimeout } from "node:timers/promises";
import { App, TaskError } from "../mod.ts";

const app = new App();
const tasks = app.module<typeof import("./retries_tasks.ts")>("retries_tasks");

const payment = tasks.charge("order 17");
while (!await payment.ready()) {
  // RETRY holds the error that made it so.
  if (await payment.status === "RETRY") {
    console.log("meanwhile:", String(await payment.info));
    break;
  }
  await setTimeout(5);
}
console.log(await payment);

for (const result of [tasks.sync("account 4"), tasks.bill({})]) {
  try {
    await result;
  } catch (error) {
    if (!(error instanceof TaskError)) throw error;
    console.log(`in the end: ${error}`);
  }
}
await app.disconnect();
