/** The tasks that celeriac's workers run in the bench; `celery/tasks.py` and `bullmq/worker.js` have the same ones. */

/** Nothing but the way of a task. */
export function add(x: number, y: number): number {
  return x + y;
}

/** Waits for `ms`, as a task does that asks a server. */
export async function wait(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** Computes for as long as `rounds` rounds take: the same work on any machine, however busy it is. */
export function compute(rounds: number): number {
  let value = 1;
  for (let i = 0; i < rounds; i++) value = Math.imul(value ^ (value >>> 15), 0x2c1b3c6d) + i | 0;
  return value;
}

/** Takes `ms`, and tells how long after `sent` (ms since 1970) it was done. */
export async function since(sent: number, ms: number): Promise<number> {
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
  return performance.timeOrigin + performance.now() - sent;
}

/** What ends a chord. */
export function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}

export { count, merge } from "../examples/wordcount_tasks.ts";
