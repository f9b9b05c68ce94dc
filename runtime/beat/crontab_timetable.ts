/**
 * A crontab as a timetable. What its fields mean is Celery's (`crontab_fields.ts`); which moments these times are, in a
 * zone whose clocks are put forward and back, croner finds out.
 */
import { Cron } from "croner";
import type { Crontab } from "../config/schedule.ts";
import { type CrontabFields, parseCrontab } from "./crontab_fields.ts";
import type { Timetable } from "./timetable.ts";

/** An hour: less is what a clock is put right by, and what was sent once is not sent again. */
const AHEAD = 3_600_000;

/** @throws {RangeError} For fields that can't be read, times that never come, and unknown time zones. */
export function timetableOfCrontab({ crontab, timezone }: Crontab, defaultTimezone: string): Timetable {
  const zone = timezone ?? defaultTimezone;
  const text = crontab.trim().replace(/\s+/g, " ");
  const fields = parseCrontab(text);
  if (!comes(fields)) {
    throw new RangeError(`the crontab "${text}" never comes: there is no such day in such a month`);
  }
  const cron = new Cron(patternOf(fields), {
    timezone: checkedZone(zone),
    mode: "5-part",
    domAndDow: true,
    fixedTimeRule: "no-wildcard",
  });
  return {
    text: `${text} (${zone})`,
    timezone: zone,
    ahead: AHEAD,
    first: (now) => now,
    next: (last) => cron.nextRun(new Date(last))?.getTime() ?? Infinity,
    latest(last, now) {
      // What croner finds lies before the moment that it is given; its times are whole minutes.
      const found = cron.previousRuns(1, new Date(now + 1))[0]?.getTime();
      return found !== undefined && found > last ? found : undefined;
    },
  };
}

/**
 * For croner, which takes what has a `*` for minute or hour by the time that passes, and anything else for times of the
 * day. Here the hours alone decide: who runs in all of them wants no time of the day.
 */
function patternOf({ minute, hour, dayOfMonth, monthOfYear, dayOfWeek }: CrontabFields): string {
  const hours = hour.length === 24 ? "*" : hour.join(",");
  return [minute.join(","), hours, dayOfMonth.join(","), monthOfYear.join(","), dayOfWeek.join(",")].join(
    " ",
  );
}

/** Days of the months, in a leap year. */
const DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Whether any of its months has any of its days. */
function comes({ dayOfMonth, monthOfYear }: CrontabFields): boolean {
  return monthOfYear.some((month) => dayOfMonth[0] <= DAYS[month - 1]);
}

/** Zones that there are, as far as they were asked for: finding out takes a while. */
const zones = new Set<string>();

/** @throws {RangeError} For a name that is no time zone's. */
function checkedZone(zone: string): string {
  if (zones.has(zone)) return zone;
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    zones.add(zone);
    return zone;
  } catch (cause) {
    throw new RangeError(`there is no time zone "${zone}": write a name such as Europe/Berlin or UTC`, {
      cause,
    });
  }
}
