/**
 * Tasks put together: one after another, side by side, and one task over many items.
 *
 *     ./celeriac worker -A tasks
 *     deno run -A examples/workflow.ts        (or: bun examples/workflow.ts)
 */
import { App, chain, chunks, group } from "../mod.ts";

const app = new App();
const { add, mul } = app.module<typeof import("../tasks/math.ts")>("math");

const steps = chain(add.s(1, 2), mul.s(10), add.s(4)).delay();
console.log(`(1 + 2) * 10 + 4 = ${await steps}`);
console.log(`before the last step: ${await steps.parent}`);

const products = group([1, 2, 3].map((n) => mul.s(n, n))).delay();
for await (const [index] of products.finished()) console.log(`part ${index} has ended`);
console.log(`squares: ${await products}`);

const pairs = Array.from({ length: 1000 }, (_, i): [number, number] => [i, 1]);
const sums = (await chunks(add.s(), pairs, 100).delay()).flat();
console.log(`${sums.length} sums in 10 tasks, the last one ${sums.at(-1)}`);

await app.disconnect();
