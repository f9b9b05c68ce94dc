/** `crontab()`: times by the clock on the wall, as Celery's users write them. Before **publish**. */
import type { Crontab } from "../config/schedule.ts";
import { timetableOfCrontab } from "./crontab_timetable.ts";

/** One field of a crontab: a number, several, or a text such as `"8-18/2"`, `"mon-fri"`, `"1,15"`. */
export type CrontabField = number | string | readonly number[];

/** The fields of a crontab; those that are left out are `*`, so that `crontab()` is every minute. */
export interface CrontabOptions {
  /** 0 to 59. */
  readonly minute?: CrontabField;
  /** 0 to 23. */
  readonly hour?: CrontabField;
  /** 0 or 7 (Sunday) to 6, or names. Where a day of the month is given as well, both must hold, unlike in cron. */
  readonly dayOfWeek?: CrontabField;
  /** 1 to 31. */
  readonly dayOfMonth?: CrontabField;
  /** 1 to 12, or names. */
  readonly monthOfYear?: CrontabField;
  /** The name of a time zone, as `"Europe/Berlin"`. Default: the setting `timezone`, UTC. */
  readonly timezone?: string;
}

/**
 * Times by the clock on the wall, for a schedule (Celery: `crontab`).
 *
 * When clocks are put forward, times that do not exist that day run once, as soon as the clocks have been; when they are put
 * back, times that come twice run the first time. Only what runs in every hour of the day goes by the hours that pass: not
 * in one that does not exist, and in both that have one name.
 *
 * @param fields Fields by name, or all five in cron's order: `"0 3 * * mon-fri"`.
 * @throws {RangeError} For fields that can't be read, times that never come, and unknown time zones.
 *
 * @example
 * ```ts
 * import { crontab } from "../../mod.ts";
 *
 * crontab({ minute: "0-59/5" });
 * crontab({ hour: 7, minute: 30, dayOfWeek: "mon-fri", timezone: "Europe/Berlin" });
 * crontab("0 3 1 * *");
 * ```
 */
export function crontab(fields: CrontabOptions | string = {}): Crontab {
  const { minute, hour, dayOfMonth, monthOfYear, dayOfWeek, timezone } = typeof fields === "string"
    ? {} as CrontabOptions
    : fields;
  const text = typeof fields === "string"
    ? fields
    : [minute, hour, dayOfMonth, monthOfYear, dayOfWeek].map(written).join(" ");
  const made = timezone === undefined ? { crontab: text } : { crontab: text, timezone };
  timetableOfCrontab(made, "UTC");
  return made;
}

function written(field: CrontabField | undefined = "*"): string {
  // A space would begin the next field.
  const text = Array.isArray(field) ? field.join(",") : String(field).replaceAll(" ", "");
  if (text === "") throw new RangeError("a field of a crontab is empty: leave it out, or write *");
  return text;
}
