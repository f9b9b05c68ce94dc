/**
 * Watching a task's progress: it stores a state of its own, PROGRESS, with `ctx.updateState` (see `countDown` in
 * `tasks/text.ts`), and the caller looks at it from time to time.
 *
 *     ./celeriac worker -A tasks
 *     deno run -A examples/progress.ts        (or: bun examples/progress.ts)
 */
import { setTimeout } from "node:timers/promises";
import { App } from "../mod.ts";

const app = new App();
const text = app.module<typeof import("../tasks/text.ts")>("text");

const rocket = text.countDown(5);
let shown: number | undefined;
while (!await rocket.ready()) {
  const meta = await rocket.meta();
  if (meta?.status === "PROGRESS") {
    const { left } = meta.result as { left: number };
    if (left !== shown) console.log(`${left} to go`);
    shown = left;
  }
  await setTimeout(20);
}
console.log(await rocket);

await app.disconnect();
