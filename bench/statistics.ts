/** What is made of the rounds of a contestant. */

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/**
 * How many times as much one contestant reached as another: the median over the rounds, each compared within itself,
 * because what else the machine does in a round slows both.
 */
export function ratio(values: readonly number[], others: readonly number[]): number {
  return median(values.map((value, round) => value / others[round]));
}

/** The value below which `share` (0 to 1) of all lie, between two of them where it falls there. */
export function percentile(values: readonly number[], share: number): number {
  if (values.length === 0) return NaN;
  const sorted = [...values].sort((one, other) => one - other);
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
}
