/** How figures are written in tables. */

/** `81,200`, with three digits that count. */
export function rate(value: number): string {
  const step = 10 ** Math.max(0, Math.floor(Math.log10(value)) - 2);
  return (Math.round(value / step) * step).toLocaleString("en-US");
}

/** `0.42`, `4.2`, `42`. */
export function short(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** `38x`, `2.3x`. */
export function times(value: number): string {
  return `${value >= 10 ? value.toFixed(0) : value.toFixed(1)}x`;
}

/** `84%`. */
export function share(value: number): string {
  return `${(value * 100).toFixed(0)}%`;
}
