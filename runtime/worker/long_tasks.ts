/** Which tasks may run for longer than their broker leaves a message unsettled: looked at when a worker starts. */
import type { Settings } from "../config/settings.ts";
import type { TaskDescription } from "../isolate/task_definition.ts";

/** Names of tasks whose time limit lets them run for more than `seconds`, and which are acknowledged after that. */
export function tasksLongerThan(
  seconds: number,
  tasks: readonly TaskDescription[],
  settings: Pick<Settings, "taskTimeLimit" | "taskAcksLate">,
): string[] {
  return tasks.filter(({ options }) =>
    (options.acksLate ?? settings.taskAcksLate) &&
    (options.timeLimit ?? settings.taskTimeLimit ?? 0) > seconds
  ).map(({ name }) => name);
}
