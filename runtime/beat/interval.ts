/** `every()`: times at equal distances, and their timetable. Before **publish**. */
import type { Duration, Interval } from "../config/schedule.ts";
import type { Timetable } from "./timetable.ts";

const SECOND = 1_000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const units: Readonly<Record<keyof Duration, number>> = {
  days: DAY,
  hours: HOUR,
  minutes: MINUTE,
  seconds: SECOND,
};
/** Milliseconds; more often than that is what a task does in a loop of its own. */
const SHORTEST = 100;

/**
 * Times at equal distances, for a schedule (Celery: `schedule` of a `timedelta`). The first one comes when that time has
 * passed after a scheduler has first seen the entry.
 *
 * @param time Seconds, or a length of time in larger parts.
 * @throws {RangeError} For less than a tenth of a second.
 *
 * @example
 * ```ts
 * import { every } from "../../mod.ts";
 *
 * every(30);
 * every({ hours: 1, minutes: 30 });
 * ```
 */
export function every(time: number | Duration): Interval {
  millisecondsOf(time);
  return { every: time };
}

/** @throws {RangeError} For less than a tenth of a second. */
export function timetableOfInterval(time: number | Duration, relative: boolean): Timetable {
  const ms = millisecondsOf(time);
  const rounding = relative ? largestUnit(ms) : 1;
  return {
    text: `every ${textOf(ms)}${relative ? ", relative" : ""}`,
    ahead: Math.min(ms, HOUR),
    first: (now) => Math.floor(now / rounding) * rounding,
    next: (last) => last + ms,
    latest: (last, now) => now - last >= ms ? last + Math.floor((now - last) / ms) * ms : undefined,
  };
}

function millisecondsOf(time: number | Duration): number {
  const ms = Math.round(typeof time === "number" ? time * SECOND : sumOf(time));
  if (ms >= SHORTEST && Number.isSafeInteger(ms)) return ms;
  throw new RangeError(
    `every ${
      JSON.stringify(time)
    } is no time: write seconds, 0.1 or more, or { days, hours, minutes, seconds }`,
  );
}

function sumOf(time: Duration): number {
  let sum = 0;
  for (const [name, value] of Object.entries(time)) {
    sum += Number(value) * (units[name as keyof Duration] ?? NaN);
  }
  return sum;
}

function largestUnit(ms: number): number {
  return Object.values(units).find((unit) => ms >= unit) ?? 1;
}

/** `1 day 2 hours`, `0.5 seconds`. */
function textOf(ms: number): string {
  const parts: string[] = [];
  for (const [name, unit] of Object.entries(units)) {
    const count = unit === SECOND ? ms / unit : Math.floor(ms / unit);
    if (count === 0) continue;
    parts.push(`${count} ${count === 1 ? name.slice(0, -1) : name}`);
    ms -= count * unit;
  }
  return parts.join(" ");
}
