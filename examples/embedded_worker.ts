/**
 * Client and worker in one program, on queues in its own memory: for tests, for scripts, and for a service that wants
 * its work done off its main thread. Nothing else has to run.
 *
 *     deno run -A examples/embedded_worker.ts        (or: bun examples/embedded_worker.ts)
 */
import { fileURLToPath } from "node:url";
import { App, Worker } from "../mod.ts";

const app = new App({ broker: "memory:" });
const worker = new Worker({
  settings: app.settings,
  modules: [fileURLToPath(new URL("../tasks/math.ts", import.meta.url))],
  concurrency: 2,
});
await worker.start();
console.log("tasks:", worker.tasks.map((task) => task.name).join(", "));

const math = app.module<typeof import("../tasks/math.ts")>("math");
const products = await Promise.all([1, 2, 3].map((n) => math.mul(n, n)));
console.log("squares:", products.join(", "));

worker.stop();
await worker.done;
console.log("done:", worker.counts.succeeded, "tasks");
await app.disconnect();
