/** The task module of the tests of workers: tasks that wait for a sign, that leave a mark, and that end badly. */
import { appendFileSync, existsSync, readdirSync, writeFileSync } from "node:fs";
import process from "node:process";
import { currentTask, task } from "../../mod.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const forever = () => new Promise<never>(() => {});

/** Gives back what it was given. */
export function echo(value: unknown): unknown {
  return value;
}

/** Appends a line to a file: that it ran, and whether it was told that it may have run before. */
export function mark(file: string): void {
  const { id, redelivered } = currentTask()!;
  appendFileSync(file, `${id} ${redelivered ? "again" : "first"} ${process.pid}\n`);
}

/** Leaves a mark and takes a while over it, without using the processor. */
export async function work(file: string, ms: number): Promise<string> {
  mark(file);
  if (ms > 0) await pause(ms);
  return currentTask()!.id;
}

/** Leaves a mark of each try, and succeeds with the third. */
export const thrice = task({ bind: true }, (ctx, file: string): number => {
  const { id, retries, redelivered } = ctx;
  appendFileSync(file, `${id}/${retries} ${redelivered ? "again" : "first"} ${process.pid}\n`);
  if (retries < 2) ctx.retry({ countdown: 0 });
  return retries;
});

/** Says that it began, and waits until the file `gate` exists. */
export async function hold(gate: string): Promise<string> {
  console.log(`holding ${gate}`);
  while (!existsSync(gate)) await pause(2);
  return "let go";
}

/** The same, and lets nothing else of its isolate run meanwhile. */
export function block(gate: string): string {
  console.log(`blocking ${gate}`);
  const never = new Int32Array(new SharedArrayBuffer(4));
  while (!existsSync(gate)) Atomics.wait(never, 0, 0, 2);
  return "let go";
}

/** The same, leaving a mark when it begins. */
export async function markAndHold(file: string, gate: string): Promise<string> {
  mark(file);
  return await hold(gate);
}

/** The same, blocking its isolate. */
export function markAndBlock(file: string, gate: string): string {
  mark(file);
  return block(gate);
}

/** Ends when `count` of its kind are at work at once. */
export async function meet(folder: string, count: number): Promise<number> {
  writeFileSync(`${folder}/${currentTask()!.id}`, "");
  for (;;) {
    const here = readdirSync(folder).length;
    if (here >= count) return here;
    await pause(2);
  }
}

/** When it ran, in ms since 1970. */
export function timeNow(): number {
  return Date.now();
}

/** Who ran it. */
export function whoRan(): number {
  return process.pid;
}

/** Whether it was told that it may have run before. */
export function wasRedelivered(): boolean {
  return currentTask()!.redelivered;
}

/** Prints from everywhere in a run. */
export async function say(word: string): Promise<void> {
  console.log("sync", word);
  await pause(1);
  console.warn("after a wait", word);
  await new Promise<void>((resolve) =>
    setTimeout(() => {
      console.error("in a timer", { word });
      resolve();
    }, 1)
  );
}

/** Knows the names of its parameters. */
export const add = task({ params: ["x", "y"] }, (x: number, y: number): number => x + y);

/** Fails in the everyday way. */
export function fail(message: string): never {
  throw new RangeError(message);
}

/** Returns what no message can carry, deep inside. */
export function unserializable(): unknown {
  return { rows: [{ fine: 1 }, { run: () => 1 }] };
}

/** Returns what holds itself. */
export function cycle(): unknown {
  const value: { list: unknown[] } = { list: [] };
  value.list.push({ back: value });
  return value;
}

const endings: Record<string, () => unknown> = {
  "throws outside of its run": () => {
    setTimeout(() => {
      throw new Error("thrown by a timer");
    }, 1);
    return forever();
  },
  "leaves a rejection behind": () => {
    void Promise.reject(new Error("nobody handles this"));
    return forever();
  },
  "calls process.exit": () => process.exit(3),
  "calls Deno.exit": () => (globalThis as unknown as { Deno: { exit(code: number): never } }).Deno.exit(4),
  "closes its own scope": () => {
    (globalThis as unknown as { close(): void }).close();
    return forever();
  },
};

/** Ends its isolate, in one of the ways above. */
export function die(how: string): unknown {
  console.log(`dying: ${how}`);
  return endings[how]();
}

/** Dies in its first run, and is to run again. */
export const dieOnce = task(
  { rejectOnWorkerLost: true },
  (file: string, how: string): unknown => {
    mark(file);
    return currentTask()!.redelivered ? "survived" : endings[how]();
  },
);

/** Dies in each of its runs, and is to run again. */
export const dieAlways = task({ rejectOnWorkerLost: true }, (file: string): unknown => {
  mark(file);
  return process.exit(1);
});

/** Returns in time, and then throws from outside of its run. */
export function throwLater(ms: number): string {
  setTimeout(() => {
    throw new Error("thrown after its run");
  }, ms);
  return "returned";
}

/** Acknowledged before it runs. */
export const early = task({ acksLate: false }, markAndHold);

/** Nobody asks for its result. */
export const silent = task({ ignoreResult: true }, (word: string): string => {
  console.log(`silent ${word}`);
  return word;
});

/** Tells when it starts. */
export const tracked = task({ trackStarted: true }, hold);

/** Ends its whole process, as a crash of native code does. */
export function killProcess(): Promise<never> {
  process.kill(process.pid, "SIGKILL");
  return forever();
}

/** Takes memory on the heap until there is none. */
export function hoard(): never {
  for (const kept: unknown[] = [];;) kept.push(new Array(1_000_000).fill(0.5));
}
