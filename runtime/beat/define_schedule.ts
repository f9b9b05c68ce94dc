/** A schedule whose arguments are checked against its tasks. Before **publish**. */
import type { ScheduledTask, ScheduleEntry } from "../config/schedule.ts";

/**
 * Gives a schedule back as it is, checked by the compiler: the arguments of each entry must be those of its task. A plain
 * object does as well, without that check.
 *
 * @example
 * ```ts
 * import { crontab, defineSchedule, every } from "../../mod.ts";
 * import { add } from "../../tasks/math.ts";
 *
 * export const schedule = defineSchedule({
 *   "every night": { task: add, args: [1, 2], schedule: crontab({ hour: 3, minute: 0, timezone: "Europe/Berlin" }) },
 *   "all the time": { task: "python.task", schedule: every({ minutes: 5 }), options: { expires: 60 } },
 * });
 * ```
 */
export function defineSchedule<Tasks extends Readonly<Record<string, ScheduledTask>>>(
  entries: { readonly [Name in keyof Tasks]: ScheduleEntry<Tasks[Name]> },
): { readonly [Name in keyof Tasks]: ScheduleEntry<Tasks[Name]> } {
  return entries;
}
