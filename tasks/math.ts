/** The smallest task module: plain exported functions, called `math.add` and `math.mul`. */

/** Adds two numbers. */
export function add(x: number, y: number): number {
  return x + y;
}

/** Multiplies two numbers, after thinking about it for a moment. */
export async function mul(x: number, y: number): Promise<number> {
  await Promise.resolve();
  return x * y;
}
