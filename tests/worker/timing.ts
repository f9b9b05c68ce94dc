/** The task module of the tests of timers in real isolates. */
import { appendFileSync } from "node:fs";
import process from "node:process";
import { currentTask, task } from "../../mod.ts";

/** Leaves a line in a file: what was called, and under which id. */
export function mark(file: string, word: string): void {
  appendFileSync(file, `${word} ${currentTask()!.id}\n`);
}

/** Sets a timer that leaves a mark in `seconds`; gives its id. */
export const set = task(
  { bind: true },
  (ctx, seconds: number, file: string, word: string, durable?: boolean) => {
    return ctx.callAfter(seconds, mark, [file, word], {}, { durable }).id;
  },
);

/** Sets many; gives the ids. */
export const setMany = task({ bind: true }, (ctx, count: number, seconds: number, file: string): string[] => {
  return Array.from({ length: count }, (_, i) => ctx.callAfter(seconds, mark, [file, String(i)]).id);
});

/** Cancels timers of any task; gives the answers. */
export const cancel = task({ bind: true }, (ctx, ...ids: string[]): Promise<string[]> => {
  return Promise.all(ids.map((id) => ctx.timers.cancel(id)));
});

/** The same as `set`, from a process of its own; cancels a timer of another task, too. */
export const setApart = task(
  { bind: true, isolation: "process" },
  async (ctx, seconds: number, file: string, word: string, other: string): Promise<[string, string]> => {
    return [ctx.callAfter(seconds, mark, [file, word]).id, await ctx.timers.cancel(other)];
  },
);

/** Sets a timer and ends its isolate. */
export const setAndDie = task({ bind: true }, async (ctx, seconds: number, file: string, word: string) => {
  await ctx.callAfter(seconds, mark, [file, word]).held;
  process.exit(1);
});

/** Sets a timer and then blocks its isolate, until the timer's mark is there. */
export const setAndBlock = task({ bind: true }, async (ctx, seconds: number, file: string, word: string) => {
  const { existsSync } = await import("node:fs");
  ctx.callAfter(seconds, mark, [file, word]);
  const never = new Int32Array(new SharedArrayBuffer(4));
  while (!existsSync(file)) Atomics.wait(never, 0, 0, 2);
});
