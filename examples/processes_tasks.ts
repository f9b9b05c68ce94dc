/** Tasks that may end badly, in processes of their own: what they do to these they do to nobody else. */
import process from "node:process";
import { task } from "../mod.ts";

/** Stands for a library of native code that crashes. */
export const crash = task({ isolation: "process" }, async (): Promise<never> => {
  process.kill(process.pid, "SIGKILL");
  return await new Promise<never>(() => {});
});

/** Takes more and more memory; with 64 MB it has had enough. */
export const hoard = task({ memoryLimit: "64MB" }, (): never => {
  for (const kept: unknown[] = [];;) kept.push(new Array(1_000_000).fill(0.5));
});

/** Does no harm, in a process where others have. */
export const whisper = task({ isolation: "process" }, (text: string): string => text.toLowerCase());
