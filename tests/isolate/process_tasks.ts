/** Tasks that run in either kind of isolate. */
import { existsSync } from "node:fs";
import process from "node:process";
import { currentTask, task } from "../../mod.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const forever = () => new Promise<never>(() => {});

export const add = task({ params: ["x", "y"] }, (x: number, y: number): number => x + y);
export const kinds =
  (): unknown => [12345678901234567890n, new Date(0), new Uint8Array([1, 2]), undefined, NaN];
export const fail = (): never => {
  throw new RangeError("out of range");
};
export const print = (): void => console.log("printed", { by: "the task" });
export const states = task({ bind: true, trackStarted: true }, (ctx): string => {
  ctx.updateState({ state: "PROGRESS", meta: { done: 1 } });
  return ctx.name;
});
export const talk = task({ bind: true }, async (ctx): Promise<unknown[]> => {
  await ctx.send({ said: "by the task" });
  const heard: unknown[] = [];
  for await (const message of ctx.messages()) heard.push(message);
  return heard;
});
export const wait = async (ms: number): Promise<number> => {
  await pause(ms);
  return ms;
};
export const busy = (ms: number): number => {
  for (const end = Date.now() + ms; Date.now() < end;);
  return ms;
};
export const pid = (): number => process.pid;
export const write = (): void => {
  process.stdout.write("on standard output\n");
  process.stderr.write("on standard error\n");
};
/** Ends its whole process, as a crash of native code does. */
export const crash = (): Promise<never> => {
  process.kill(process.pid, "SIGKILL");
  return forever();
};
export const exit = (): never => process.exit(7);
export const throwOutside = (): Promise<never> => {
  setTimeout(() => {
    throw new Error("thrown by a timer");
  }, 1);
  return forever();
};
/** Takes memory until there is none, on the heap or beside it. */
export const hoard = async (where: "heap" | "buffers"): Promise<never> => {
  for (const kept: unknown[] = [];;) {
    kept.push(where === "heap" ? new Array(1_000_000).fill(0.5) : new Uint8Array(8 * 2 ** 20).fill(1));
    await pause(0);
  }
};
/** Takes five times as much, and keeps nothing of it. */
export const waste = async (): Promise<number> => {
  let sum = 0;
  for (let i = 0; i < 400; i++) {
    sum += new Array(100_000).fill(i + 0.5).length;
    if (i % 100 === 0) await pause(0);
  }
  return sum;
};
export const whoRan = (): string => currentTask()!.hostname;

/** Shares its isolate with nothing, until there is a file of that name. */
export const alone = task({ exclusive: true }, async (gate: string): Promise<void> => {
  while (!existsSync(gate)) await pause(5);
});
