/** Timers: a countdown that one can see, what is called at its end, and how another task calls it off. */
import { task } from "../mod.ts";

/** Counts down, a line a second, and calls `liftOff` at the end. The ids that it gives back call it off. */
export const start = task(
  { bind: true, params: ["name", "from"] },
  (ctx, name: string, from: number): string[] => {
    const end = new Date(Date.now() + from * 1000).toISOString();
    const ticks = ctx.callRepeatedly(1, tick, [name, end]);
    const last = ctx.callAfter(from, liftOff, [name, ticks.id]);
    console.log(`${name}: ${from} ... to call it off: ${last.id} ${ticks.id}`);
    return [last.id, ticks.id];
  },
);

/** One line of a countdown; it is called every second. */
export function tick(name: string, end: string): void {
  const left = Math.round((Date.parse(end) - Date.now()) / 1000);
  if (left > 0) console.log(`${name}: ${left} ...`);
}

/** The end of a countdown: its ticks are needed no more. */
export const liftOff = task({ bind: true }, async (ctx, name: string, ticks: string): Promise<string> => {
  await ctx.timers.cancel(ticks);
  console.log(`${name}: lift-off!`);
  return "lift-off";
});

/** Cancels timers that another task has set, in whatever isolate or worker. */
export const callOff = task(
  { bind: true },
  async (ctx, name: string, ...ids: string[]): Promise<string[]> => {
    const answers = await Promise.all(ids.map((id) => ctx.timers.cancel(id)));
    console.log(`${name} is called off: ${answers.join(", ")}`);
    return answers;
  },
);
