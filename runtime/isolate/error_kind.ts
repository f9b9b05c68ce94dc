/** Which errors an option of a task means: `throws`, `autoretryFor`, `dontAutoretryFor`. Part of **run**. */

/** A class of errors, or its name: for a class that the task module doesn't import. */
export type ErrorKind = string | (new (...args: never[]) => Error);

/** The name of an error class, or the name itself. */
export function errorName(kind: ErrorKind): string {
  return typeof kind === "string" ? kind : kind.name;
}

/** Whether `error` is of that class or of one derived from it; by a name, also where it only calls itself so. */
export function isOfKind(error: unknown, kind: ErrorKind): boolean {
  if (typeof kind !== "string") return error instanceof kind;
  if (!(error instanceof Error)) return false;
  if (error.name === kind) return true;
  for (let at = Object.getPrototypeOf(error); at !== null; at = Object.getPrototypeOf(at)) {
    if (Object.hasOwn(at, "constructor") && at.constructor?.name === kind) return true;
  }
  return false;
}

/** Whether `error` is of one of those kinds. */
export function isOneOf(error: unknown, kinds: readonly ErrorKind[] | undefined): boolean {
  return kinds !== undefined && kinds.some((kind) => isOfKind(error, kind));
}
