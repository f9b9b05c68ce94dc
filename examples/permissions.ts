/**
 * Tasks that are denied what they may not reach. Client and worker are in one program, for which permissions have to be
 * asked for: `--unstable-worker-options` (`celeriac worker` brings it along).
 *
 *     deno run -A --no-prompt --unstable-worker-options examples/permissions.ts
 */
import { fileURLToPath } from "node:url";
import { App, TaskError, TaskModuleError, Worker } from "../mod.ts";

const app = new App({ broker: "memory:" });
const worker = new Worker({
  settings: app.settings,
  modules: [fileURLToPath(new URL("./permissions_tasks.ts", import.meta.url))],
  concurrency: 1,
});
const tasks = app.module<typeof import("./permissions_tasks.ts")>("permissions_tasks");

async function show(what: string, result: PromiseLike<unknown>): Promise<void> {
  try {
    console.log(`${what}: ${await result}`);
  } catch (error) {
    if (!(error instanceof TaskError)) throw error;
    console.log(`${what}: ${error.type}: ${error.message.split(",")[0]}`);
  }
}

try {
  await worker.start();
  const lines = await tasks.countLines("README.md");
  console.log(`README.md: ${Number(lines) > 100 ? "read" : "too short"}`);
  await show("package.json", tasks.countLines("package.json"));
  await show("6 * 7", tasks.evaluate("6 * 7"));
  await show("process.env.HOME", tasks.evaluate("process.env.HOME"));
  await show("home", tasks.home());
  worker.stop();
} catch (error) {
  if (!(error instanceof TaskModuleError)) throw error;
  // On Bun.
  console.log(error.message);
}
await worker.done;
await app.disconnect();
