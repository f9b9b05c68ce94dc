/** Tasks that the tests of the worker run. */
import process from "node:process";
import { App, currentTask, task } from "../../mod.ts";

export const add = (x: number, y: number): number => x + y;

/** Blocks its isolate for `ms` milliseconds, as computing does. */
export function busy(ms: number): number {
  const end = Date.now() + ms;
  while (Date.now() < end);
  return ms;
}

/** Waits without blocking. */
export async function wait(ms: number): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return ms;
}

export function fail(message: string): never {
  throw new RangeError(message);
}

export const quiet = task({ ignoreResult: true }, (x: number) => x);

export const tracked = task({ bind: true, trackStarted: true }, async (ctx, ms: number) => {
  await wait(ms);
  return ctx.id;
});

export function whoAmI(): string {
  const ctx = currentTask()!;
  return `${ctx.name} ${ctx.id} ${ctx.hostname}`;
}

export const progress = task({ bind: true }, async (ctx, ms: number) => {
  ctx.updateState({ state: "PROGRESS", meta: { done: 1, of: 2 } });
  await wait(ms);
  return "done";
});

/** Ends its isolate in the way named. */
export async function die(how: "exit" | "throw" | "reject"): Promise<never> {
  if (how === "exit") process.exit(3);
  if (how === "throw") {
    setTimeout(() => {
      throw new Error("outside");
    });
  } else void Promise.reject(new Error("nobody cares"));
  return await new Promise(() => {});
}

let died = false;
export const dieOnce = task({ rejectOnWorkerLost: true, bind: true }, (ctx) => {
  if (!ctx.redelivered && !died) {
    died = true;
    process.exit(1);
  }
  return ctx.redelivered ? "again" : "first";
});

export const unserializable = () => ({ items: [1, { callback: () => 1 }] });

export const say = (text: string) => console.log("saying", text);

/** Sends another task to where it came from. */
export const sendsAnother = async (x: number): Promise<number> => {
  const app = new App();
  try {
    return await app.sendTask<number>("tasks.add", [x, 1]);
  } finally {
    await app.disconnect();
  }
};

/** Blocks its isolate for `ms` milliseconds, then waits without end. */
export async function busyThenWait(ms: number): Promise<never> {
  busy(ms);
  return await new Promise(() => {});
}
