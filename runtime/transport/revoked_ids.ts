/**
 * The contract for ids of tasks that are not to run any more. No queue can hold them, so they stand beside the queues
 * where the broker is SQLite, Redis or memory, else in the result store, else in a file of the worker's own. Workers
 * read them when they start and now and then; before the step **dispatch** they look at their own copy.
 */
import { stringifyPythonJson } from "../protocol/python_json.ts";

/** How many ids are kept, and for how long. */
export interface RevokedBounds {
  /** Seconds. */
  readonly seconds: number;
  /** The newest ones. */
  readonly most: number;
}

/** What a look found. */
export interface RevokedLook {
  /** Oldest first; what was known before may be among them. */
  readonly ids: readonly string[];
  /** For the next look. */
  readonly cursor: number;
  /** How many are kept in all. */
  readonly count: number;
}

/** Where such ids are kept. */
export interface RevokedIds {
  /** Adds ids, and drops what the bounds leave no room for. Again is harmless. */
  add(ids: readonly string[], bounds: RevokedBounds): Promise<void>;
  /** Takes ids out that are needed no more. */
  remove(ids: readonly string[]): Promise<void>;
  /** What was added since the look that gave `cursor`; without one all that is kept. */
  read(cursor?: number): Promise<RevokedLook>;
}

/** What a revoke by stamps is kept as, among the ids: no task has such an id. */
const STAMP = "stamp:";

/** A stamp whose tasks are revoked, as it is kept among the ids. */
export function revokedStamp(name: string, value: unknown): string {
  return `${STAMP}${stringifyPythonJson([name, value])}`;
}

/** Several of them, each with the value of its name, or a list of these. */
export function revokedStamps(stamps: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(stamps).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one) => revokedStamp(name, one))
  );
}

/** Whether what is kept is a stamp, and no id. */
export function isRevokedStamp(text: string): boolean {
  return text.startsWith(STAMP);
}
