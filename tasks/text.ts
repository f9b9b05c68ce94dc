/** Tasks with options: named parameters (for keyword arguments from Python), an error, a bound task. */
import { task } from "../mod.ts";

/** Greets somebody; Python may call it as `greet(name="Ada")`. */
export const greet = task(
  { params: ["name", "greeting"] },
  (name: string, greeting = "Hello"): string => `${greeting}, ${name}!`,
);

/** Counts words; what it prints comes out as log lines with its name and id. */
export function count(text: string): Record<string, number> {
  console.log(`counting ${text.length} characters`);
  const counts: Record<string, number> = {};
  for (const word of text.toLowerCase().match(/\p{L}+/gu) ?? []) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

/** Fails, to show how an error arrives at its caller. */
export function fail(message: string): never {
  throw new RangeError(message);
}

/** Tells of its progress as a state of its own. */
export const countDown = task({ bind: true }, async (ctx, from: number): Promise<string> => {
  for (let left = from; left > 0; left--) {
    ctx.updateState({ state: "PROGRESS", meta: { left } });
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return "lift-off";
});
