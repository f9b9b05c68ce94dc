/** Points in time as Celery writes them on the wire: Python's ISO 8601. Milliseconds since 1970 everywhere else. */

/** The last second written and its text: a busy worker writes thousands of times in each. */
let lastSecond = NaN;
let lastText = "";

/**
 * Python's `isoformat()` of a UTC time: `2026-11-21T05:56:50.934000+00:00`.
 * @throws {RangeError} For what is no time, or lies outside the years 1 to 9999, which Python can't read.
 */
export function formatIso(ms: number): string {
  const second = Math.floor(ms / 1000);
  if (second !== lastSecond) {
    const date = new Date(second * 1000);
    const text = Number.isNaN(date.getTime()) ? `${ms} ms` : date.toISOString();
    if (text.length !== 24 || text.startsWith("0000")) {
      throw new RangeError(`${text} is outside the years 1 to 9999 that a message can carry`);
    }
    lastSecond = second;
    lastText = text.slice(0, 20);
  }
  const milli = Math.floor(ms - second * 1000);
  return `${lastText}${milli < 10 ? "00" : milli < 100 ? "0" : ""}${milli}000+00:00`;
}

/** A time in UTC as Python writes it; the last second read of those and its time: results come by thousands, too. */
const PYTHON_UTC = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/;
let readSecond = "none yet";
let readTime = NaN;

const ISO =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?\s*(?:([Zz])|([+-])(\d\d):?(\d\d)(?::?(\d\d)(?:\.\d+)?)?)?$/;

/**
 * Milliseconds since 1970 of a date as Python or JavaScript writes it. A date alone is its midnight, a time without
 * an offset is UTC, and what is finer than a millisecond is cut off.
 * @throws {RangeError} Naming the text, when it is no such date.
 */
export function parseIso(text: string): number {
  if (!PYTHON_UTC.test(text)) return parseAny(text);
  if (!text.startsWith(readSecond)) {
    readTime = Math.floor(parseAny(text) / 1000) * 1000;
    readSecond = text.slice(0, 20);
  }
  return readTime + Number(text.slice(20, 23));
}

function parseAny(text: string): number {
  const match = ISO.exec(text);
  if (match !== null) {
    const [, year, month, day, hour = "0", minute = "0", second = "0", fraction = "0"] = match;
    const date = new Date(0);
    date.setUTCFullYear(+year, +month - 1, +day);
    const ofDay = (+hour * 60 + +minute) * 60 + +second;
    const valid = date.getUTCMonth() === +month - 1 && date.getUTCDate() === +day && +hour < 24 &&
      +minute < 60 &&
      +second < 60;
    if (valid) {
      const sign = match[9] === "-" ? -1 : 1;
      const offset = match[9] === undefined
        ? 0
        : sign * ((+match[10] * 60 + +match[11]) * 60 + +(match[12] ?? "0"));
      return date.getTime() + (ofDay - offset) * 1000 + Math.floor(+fraction.padEnd(9, "0") / 1e6);
    }
  }
  throw new RangeError(
    `${JSON.stringify(text.slice(0, 80))} is no date: write it as 2026-11-21T05:56:50+00:00`,
  );
}
