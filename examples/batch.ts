/**
 * Ten thousand calls at once. What is sent in one tick goes out as batches, and all their results arrive over one
 * watch of the store, so nothing special is needed.
 *
 *     ./celeriac worker -A tasks
 *     deno run -A examples/batch.ts        (or: bun examples/batch.ts)
 */
import { App } from "../mod.ts";

const CALLS = 10_000;

const app = new App();
const math = app.module<typeof import("../tasks/math.ts")>("math");

const start = performance.now();
const results = Array.from({ length: CALLS }, (_, i) => math.add(i, 1));
await Promise.all(results.map((result) => result.published));
console.log(`${CALLS} calls published after ${Math.round(performance.now() - start)} ms`);

const sums = await Promise.all(results);
console.log(`${sums.length} results after ${Math.round(performance.now() - start)} ms`);
console.log(`all right: ${sums.every((sum, i) => sum === i + 1)}`);

await app.disconnect();
