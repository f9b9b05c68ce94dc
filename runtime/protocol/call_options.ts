/** Options of a call as its caller gives them, checked where they are given: later they would fail a whole batch. */

/** Milliseconds of a number of seconds. `option` names it in the error. @throws {RangeError} */
export function millisecondsOf(seconds: number, option: string): number {
  if (!Number.isFinite(seconds)) {
    throw new RangeError(`${option} is ${seconds}, but must be a number of seconds`);
  }
  return seconds * 1000;
}

/** Milliseconds since 1970 of a date. @throws {RangeError} @throws {TypeError} */
export function timeOf(date: Date, option: string): number {
  if (!(date instanceof Date)) {
    throw new TypeError(`${option} is ${JSON.stringify(date)}, but must be a Date`);
  }
  const time = date.getTime();
  if (Number.isNaN(time)) throw new RangeError(`${option} is an invalid date`);
  return time;
}

/** A priority as it may stand in a message. @throws {RangeError} */
export function priorityOf(priority: number, option = "priority"): number {
  if (Number.isInteger(priority) && priority >= 0 && priority <= 9) return priority;
  throw new RangeError(`${option} is ${priority}, but must be a whole number from 0 to 9`);
}
