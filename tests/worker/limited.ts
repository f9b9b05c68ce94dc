/** Tasks with limits, and tasks that tell which isolate ran them. */
import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { task } from "../../mod.ts";

const isolate = crypto.randomUUID();
const kept: unknown[] = [];

/** Says that it began, and computes without end. */
export const busyFor1 = task({ timeLimit: 1 }, (): never => {
  console.log("computing");
  for (;;);
});

/** The same, without a limit of its own. */
export const busy = (): never => {
  console.log("computing");
  for (;;);
};

/** Says that it began, and waits without end. */
export const waitFor1 = task({ timeLimit: 1 }, async (): Promise<never> => {
  console.log("waiting");
  return await new Promise(() => {});
});

/** The same, without a limit of its own. */
export const wait = async (): Promise<never> => {
  console.log("waiting");
  return await new Promise(() => {});
};

/** Ends, and then computes without end. */
export const busyAfterwards = (): void => {
  setTimeout(() => {
    console.log("computing");
    for (;;);
  });
};

/** Leaves a mark every few milliseconds of its endless computing. */
export const beat = task({ timeLimit: 60 }, (file: string): never => {
  for (let next = 0;;) {
    if (performance.now() < next) continue;
    appendFileSync(file, ".");
    next = performance.now() + 5;
  }
});

/** Waits for its signal, in the way of the runtime's own functions. */
export const heedSignal = task({ bind: true }, async (ctx): Promise<void> => {
  await sleep(1_000_000, undefined, { signal: ctx.signal });
});

/** Computes without end, but looks at its signal. */
export const heedSignalBusily = task({ bind: true, softTimeLimit: 0.05 }, (ctx): never => {
  for (;;) ctx.signal.throwIfAborted();
});

/** Ends in its own way when its signal aborts. */
export const tidyUp = task({ bind: true, softTimeLimit: 0.05 }, async (ctx): Promise<string> => {
  await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
  return (ctx.signal.reason as Error).name;
});

/** Shares its isolate with nothing. */
export const alone = task({ exclusive: true }, async (ms: number): Promise<number> => {
  console.log("alone");
  await sleep(ms);
  return ms;
});

/** Which isolate ran it. */
export const where = (): string => isolate;

/** The same, after a while. */
export const whereAfter = async (ms: number): Promise<string> => {
  await sleep(ms);
  return isolate;
};

/** Keeps many objects, and tells which isolate ran it. */
export const leak = (objects: number): string => {
  for (let i = 0; i < objects; i++) kept.push({ i });
  return isolate;
};

/** Its message is kept when it fails. */
export const kept1 = task({ acksOnFailureOrTimeout: false, timeLimit: 0.1 }, busy);

/** Fails, and its message is kept. */
export const keptFailure = task({ acksOnFailureOrTimeout: false }, (why: string): never => {
  throw new RangeError(why);
});

/** Acknowledged before it runs. */
export const earlyFor = task({ acksLate: false, timeLimit: 0.1 }, busy);
