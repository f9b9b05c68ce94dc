/** The five fields of a crontab, with Celery's words and rules, as sets of numbers. Pure. */

/** Minute, hour, day of the month, month, day of the week, each ascending. */
export interface CrontabFields {
  readonly minute: readonly number[];
  readonly hour: readonly number[];
  readonly dayOfMonth: readonly number[];
  readonly monthOfYear: readonly number[];
  readonly dayOfWeek: readonly number[];
}

interface Field {
  readonly title: string;
  readonly min: number;
  readonly max: number;
  /** A number beyond the last one that stands for the first one. */
  readonly again?: number;
  /** Three letters each, the first one for `min`. */
  readonly names?: readonly string[];
}

const WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/** In the order in which a crontab has them. */
const fields: readonly Field[] = [
  { title: "minute", min: 0, max: 59 },
  { title: "hour", min: 0, max: 23 },
  { title: "day of the month", min: 1, max: 31 },
  { title: "month", min: 1, max: 12, names: MONTHS },
  { title: "day of the week", min: 0, max: 6, again: 7, names: WEEKDAYS },
];

/** @throws {RangeError} What is wrong with which field. */
export function parseCrontab(text: string): CrontabFields {
  const parts = text.trim().split(/\s+/);
  if (parts.length !== fields.length) {
    throw new RangeError(
      `the crontab "${text}" has ${parts.length} fields, but needs 5: minute, hour, day of the month, month, ` +
        `day of the week, as in "0 3 * * mon-fri"`,
    );
  }
  const [minute, hour, dayOfMonth, monthOfYear, dayOfWeek] = fields.map((field, i) =>
    expand(parts[i], field, text)
  );
  return { minute, hour, dayOfMonth, monthOfYear, dayOfWeek };
}

/** Parts with commas between them: `*`, `7`, `mon-fri`, `22-6` (over midnight), and any but one number by `/2`. */
function expand(spec: string, field: Field, crontab: string): number[] {
  const wrong = (why: string) =>
    new RangeError(`the crontab "${crontab}" has the ${field.title} "${spec}": ${why}`);
  const numbers = new Set<number>();
  for (const part of spec.split(",")) {
    const [, from, to, step] = /^(\*|[a-z0-9]+)(?:-([a-z0-9]+))?(?:\/(\d+))?$/i.exec(part) ?? [];
    if (from === undefined || from === "*" && to !== undefined) {
      throw wrong(`write numbers, ranges (1-5), steps (*/5), and commas between them`);
    }
    if (step !== undefined && from !== "*" && to === undefined) {
      throw wrong(`a step needs * or a range before it, as in */${step} or ${from}-${field.max}/${step}`);
    }
    if (step === "0") throw wrong("a step must be 1 or more");
    const read = (word: string) => numberOf(word, field, wrong);
    const all = from === "*"
      ? between(field.min, field.max, field)
      : between(read(from), to === undefined ? read(from) : read(to), field);
    for (let i = 0; i < all.length; i += Number(step ?? 1)) {
      numbers.add(all[i] === field.again ? field.min : all[i]);
    }
  }
  return [...numbers].sort((a, b) => a - b);
}

/** Both ends included; where it ends before it begins it goes on at the beginning. */
function between(from: number, to: number, { min, max }: Field): number[] {
  const all: number[] = [];
  for (let i = from; i <= (to < from ? max : to); i++) all.push(i);
  if (to < from) { for (let i = min; i <= to; i++) all.push(i); }
  return all;
}

function numberOf(
  word: string,
  { min, max, again, names }: Field,
  wrong: (why: string) => RangeError,
): number {
  if (/^\d+$/.test(word)) {
    const number = Number(word);
    if (number < min || number > (again ?? max)) throw wrong(`${word} is not from ${min} to ${max}`);
    return number;
  }
  const index = names?.indexOf(word.slice(0, 3).toLowerCase()) ?? -1;
  if (index < 0 || !/^[a-z]+$/i.test(word)) {
    throw wrong(names === undefined ? `${word} is no number` : `there is no ${word}`);
  }
  return index + min;
}
