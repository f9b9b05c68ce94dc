/** What a user of the package writes: task modules, and a program whose types are checked. */

/** A task module. */
export const shop = `import { task } from "celeriac";

export const add = task(
  { params: ["x", "y"] },
  (x: number | bigint, y: number | bigint): number => (x as number) + (y as number),
);

export function echo(value: unknown): unknown {
  return value;
}

export function fail(why: string): never {
  throw new RangeError(why);
}

export const slowly = task({ bind: true }, async (ctx, seconds: number): Promise<string> => {
  ctx.log.info("at it");
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  return "done";
});
`;

/** A program that a compiler accepts only where the package's declarations are whole. */
export const consumer = `import { App, type AsyncResult, task, type Task, TaskError, Worker } from "celeriac";
import { startTesting, type Testing } from "celeriac/testing";
import type * as shop from "./shop.ts";

const testing: Promise<Testing> = startTesting({ modules: ["shop.ts"] });
const app = new App({ broker: "redis://localhost" });
const client = app.module<typeof shop>("shop");
const sum: number = await client.add(1, 2);
const result: AsyncResult<string> = client.slowly(1);
// @ts-expect-error: a text is no number
client.add("1", 2);
// @ts-expect-error: there is no such task
client.subtract(1, 2);
const double: Task<[number], number> = task((n: number) => 2 * n);
export { double, result, sum, TaskError, testing, Worker };
`;

/** A test of a user's own. */
export const testing = `import { startTesting } from "celeriac/testing";

const testing = await startTesting({ tasks: { shop: { add: (x, y) => x + y } } });
const sum = testing.app.sendTask("shop.add", [1, 2], {}, { countdown: 3600 });
await testing.advance(3600);
console.log(await sum, "after an hour");
await testing[Symbol.asyncDispose]();
`;
