/** The tasks of the captured samples, under their names. */
import { task } from "../../../mod.ts";

/** Python's `x + y`, for what the samples add: numbers, texts, lists. */
export const add = task({ params: ["x", "y"] }, (x: unknown, y: unknown): unknown => {
  if (Array.isArray(x) && Array.isArray(y)) return [...x, ...y];
  return (x as number) + (y as number);
});

export function tsum(numbers: number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}

export const ignored = task({ ignoreResult: true }, () => "not kept");
