/**
 * Periodic tasks: two schedulers in one process share a schedule, one of them ends, and the other goes on. On the command
 * line they would be `./celeriac beat -A examples/periodic_tasks.ts`, twice, or `./celeriac worker -B`.
 *
 *     ./celeriac worker -A examples/periodic_tasks.ts
 *     deno run -A examples/periodic.ts        (or: bun examples/periodic.ts)
 */
import { setTimeout } from "node:timers/promises";
import { App, Beat } from "../mod.ts";

const app = new App();
const options = { settings: app.settings, modules: [new URL("periodic_tasks.ts", import.meta.url).pathname] };
const [one, other] = [new Beat(options), new Beat(options)];
await one.start();
await other.start();

for (const { name, task, schedule } of one.entries) console.log(`${name}: ${task}, ${schedule}`);

/** The time for which a scheduler has last sent the ticking task. */
const lastOf = (beat: Beat) => beat.entries.find(({ name }) => name === "the clock")?.last;

/** Resolves when a scheduler has sent it once more. */
async function sentBy(beat: Beat): Promise<void> {
  const before = lastOf(beat)?.getTime();
  while (lastOf(beat) === undefined || lastOf(beat)?.getTime() === before) await setTimeout(20);
}

await sentBy(one);
console.log("one sends it");
one.stop();
await one.done;
await sentBy(other);
console.log("the other goes on");
other.stop();
await other.done;
await app.disconnect();
