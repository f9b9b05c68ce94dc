/** Steps of the workflows whose workers are killed. */

/** One more, after a while. */
export async function step(count: number, ms: number): Promise<number> {
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
  return count + 1;
}

/** All together. */
export function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
