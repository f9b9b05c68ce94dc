/**
 * Tasks that may reach no more than they need, for examples/permissions.ts. On Deno; Bun can't enforce it and refuses them.
 */
import { readFile } from "node:fs/promises";
import process from "node:process";
import { task } from "../mod.ts";

/** May read one file of the worker's folder. */
export const countLines = task({ permissions: { read: ["README.md"] } }, async (file: string) => {
  return (await readFile(file, "utf8")).split("\n").length;
});

/** What a user has written: it may compute, and nothing else. */
export const evaluate = task({ permissions: "none", timeLimit: 5 }, (formula: string): unknown => {
  return new Function(`"use strict"; return (${formula});`)();
});

/** Says nothing, so it may do what its worker may. */
export function home(): boolean {
  return process.env.HOME !== undefined;
}
