/**
 * Tasks in processes of their own: one that crashes, one that takes too much memory, and what their callers see. What they
 * demand stands in `processes_tasks.ts`.
 *
 *     ./celeriac worker -A examples/processes_tasks.ts
 *     deno run -A examples/processes.ts        (or: bun examples/processes.ts)
 */
import { App, MemoryLimitExceeded, WorkerLostError } from "../mod.ts";

const app = new App();
const danger = app.module<typeof import("./processes_tasks.ts")>("processes_tasks");

try {
  await danger.crash();
} catch (error) {
  if (!(error instanceof WorkerLostError)) throw error;
  console.log("crashed:", error.message);
}

try {
  await danger.hoard();
} catch (error) {
  if (!(error instanceof MemoryLimitExceeded)) throw error;
  console.log("too much:", error.message.replace(/: \d+ MB were taken$/, ""));
}

console.log("meanwhile:", await danger.whisper("ALL IS WELL"));
await app.disconnect();
