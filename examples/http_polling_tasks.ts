/** What `http_polling.ts` has done in the background: the worker loads this file, the web server calls its task. */
import { task } from "../mod.ts";

/** Seconds for which a result waits to be read. */
export const RESULT_SECONDS = 500;

/** Adds two numbers. */
export const add = task({ resultExpires: RESULT_SECONDS }, (a: number, b: number): number => {
  const sum = a + b;
  if (!Number.isFinite(sum)) throw new RangeError(`the sum of ${a} and ${b} is too large`);
  return sum;
});
