/** Known to both workers, under the same names: each run is noted, and says who ran it. */
import { task } from "../../../mod.ts";
import { store } from "../store.ts";

export async function run(number: number): Promise<string> {
  await store().hincrby("runs", String(number), 1);
  return "celeriac";
}

/** The same, but does not end by itself the first time that it runs anywhere. */
export async function held(number: number): Promise<string> {
  if (await store().hincrby("runs", String(number), 1) === 1) {
    await store().rpush("held", "celeriac");
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  }
  return "celeriac";
}

/** Runs for so many seconds. */
export async function sleep(number: number, seconds: number): Promise<string> {
  await store().hincrby("runs", String(number), 1);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  return "celeriac";
}

/** Goes on where Python left off. */
export const again = task({ bind: true }, (ctx): string => {
  if (ctx.retries < 2) ctx.retry({ countdown: 0 });
  return `celeriac after ${ctx.retries}`;
});
