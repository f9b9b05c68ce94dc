/** Tasks that are held to their time: one that ends in its own way, one that has to be ended, one that wants to be alone. */
import { setTimeout as pause } from "node:timers/promises";
import { task } from "../mod.ts";

/** Gathers what it can until its time is over, and gives back what it has by then. */
export const gather = task({ bind: true, softTimeLimit: 0.5 }, async (ctx): Promise<string> => {
  let pieces = 0;
  try {
    for (;; pieces++) await pause(50, undefined, { signal: ctx.signal });
  } catch (error) {
    if (!ctx.signal.aborted) throw error;
  }
  return pieces > 0 ? "some pieces, not all" : "nothing";
});

/** Hands its signal to what it waits for; when its time is over that gives up, and with it the task. */
export const download = task({ bind: true, softTimeLimit: 0.3 }, (ctx): Promise<string> => {
  return pause(10_000, "all of it", { signal: ctx.signal });
});

/** Waits for somebody who does not come, and does not heed the time: it fails. */
export const waitForGodot = task({ softTimeLimit: 0.2, timeLimit: 0.5 }, async (): Promise<string> => {
  await new Promise(() => {});
  return "he came";
});

/** Computes and lets nothing else happen: nothing but the end of its isolate stops it. */
export const countToInfinity = task({ timeLimit: 0.5 }, (): bigint => {
  let number = 0n;
  while (number >= 0n) number++;
  return number;
});

/** Needs all of its isolate, for example because a library it uses keeps state between calls. */
export const concentrate = task({ exclusive: true }, async (on: string): Promise<string> => {
  await pause(100);
  return `${on}, undisturbed`;
});
