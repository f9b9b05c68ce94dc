/** Tasks in processes of their own, for the tests of workers. */
import process from "node:process";
import { task } from "../../mod.ts";
import { hoard as takeAll, killProcess, mark, markAndHold } from "./jobs.ts";

/** Which process ran it. */
export const pid = task({ isolation: "process" }, (): number => process.pid);

/** Crashes with its process. */
export const crash = task({ isolation: "process" }, killProcess);

/** Takes more memory than it may. */
export const hoard = task({ memoryLimit: "64MB" }, takeAll);

/** Waits, leaving a mark when it begins. */
export const hold = task({ isolation: "process" }, markAndHold);

/** Talks without end, leaving a mark at each word. */
export const talk = task({ isolation: "process" }, async (file: string): Promise<never> => {
  for (;;) {
    mark(file);
    console.log("and on");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
});
