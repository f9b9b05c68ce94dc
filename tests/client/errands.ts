/** Tasks for `task_test.ts`, made in every way that gives one a name by itself. */
import { currentTask, type Task, task } from "../../mod.ts";

export const run = task((where: string, how = "fast"): string => `ran to ${where} ${how}`);

export const fetchMail = task({ queue: "post" }, async (box: number): Promise<number[]> => {
  await Promise.resolve();
  return [box];
});

export const report = task({ bind: true, name: "errands.tell" }, (ctx, what: string) => ({
  what,
  name: ctx.name,
  args: ctx.args,
  eager: ctx.isEager,
  same: currentTask() === ctx,
}));

export const fail = task((): never => {
  throw new RangeError("out of tea");
});

const swept = task(() => "swept");
export { swept as sweep };

export function hidden(): { readonly task: Task<[], number> } {
  return { task: task(() => 1) };
}
