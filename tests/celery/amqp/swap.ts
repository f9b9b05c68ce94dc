/** Tasks for both sides to call over RabbitMQ. */
import { currentTask, task } from "../../../mod.ts";

export function add(x: number, y: number): number {
  return x + y;
}

export function fail(text: string): never {
  throw Object.assign(new RangeError(text), { name: "ValueError" });
}

/** What arrived beside the arguments. */
export function headers(): unknown {
  return currentTask()!.headers;
}

export const progress = task({ bind: true }, async (ctx, gate: number) => {
  ctx.updateState({ state: "PROGRESS", meta: { current: 3, total: 10 } });
  await new Promise((resolve) => setTimeout(resolve, gate));
  return "done";
});

/** Is retried so many times before it succeeds. */
export const again = task({ bind: true }, (ctx, times: number) => {
  if (ctx.retries < times) throw ctx.retry({ exc: new RangeError("again"), countdown: 0.1 });
  return ctx.retries;
});
