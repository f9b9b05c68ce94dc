/** Randomness that a failed test can be given again: `SEED=123 make test FILES=kill_nine`. */
import process from "node:process";

/** Numbers from 0 up to 1 that depend on the seed alone, which is printed with `name`. */
export function seeded(name: string): () => number {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
  console.log(`${name}: SEED=${seed}`);
  // A linear congruential generator of 32 bits, mixed, because its low bits alone are no good.
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x45d9f3b);
    mixed ^= mixed >>> 16;
    return (mixed >>> 0) / 2 ** 32;
  };
}

/** A whole number from 0 up to `below`. */
export function below(random: () => number, limit: number): number {
  return Math.floor(random() * limit);
}

/** One of them. */
export function oneOf<T>(random: () => number, items: readonly T[]): T {
  return items[below(random, items.length)];
}
