/** What a timer calls when it is due, as one short text: a hub may hold a million of them. */
import { parsePythonJson, stringifyPythonJson } from "../protocol/python_json.ts";

/** How a callback's message differs from what its task, its route and the settings say. */
export interface TimerCallOptions {
  /** The queue. Default: the task's own, else by `taskRoutes`, else `taskDefaultQueue`. */
  readonly queue?: string;
  /** 0 to 9; 0 is served first on Redis, SQLite and memory. */
  readonly priority?: number;
  /** Seconds after it was due from which on it is no longer started. Default: never. */
  readonly expires?: number;
  /** Your own headers: the callback finds them in `ctx.headers`. */
  readonly headers?: Readonly<Record<string, unknown>>;
  /** Stores no result of the callback. */
  readonly ignoreResult?: boolean;
}

/** The call of a task that a timer makes. */
export interface TimerCall {
  /** The task's name. */
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly options: TimerCallOptions;
  /** The task that set the timer. */
  readonly parentId: string | null;
  /** The first task of the tree that it belongs to. */
  readonly rootId: string | null;
}

/**
 * Writes a call; what says nothing at its end is left out.
 *
 * @throws {UnserializableError} For arguments that no message can carry; the path begins with `args` or `kwargs`.
 */
export function writeTimerCall({ task, args, kwargs, options, parentId, rootId }: TimerCall): string {
  const parts = [
    JSON.stringify(task),
    stringifyPythonJson(args, "args"),
    JSON.stringify(parentId),
    rootId === parentId ? "0" : JSON.stringify(rootId),
    stringifyPythonJson(kwargs, "kwargs"),
    stringifyPythonJson(options, "options"),
  ];
  while (NOTHING.has(parts.at(-1)!)) parts.pop();
  return `[${parts.join(",")}]`;
}

const NOTHING = new Set(["[]", "{}", "0", "null"]);

/** Reads what {@linkcode writeTimerCall} wrote. */
export function readTimerCall(text: string): TimerCall {
  const [task, args = [], parentId = null, rootId = 0, kwargs = {}, options = {}] = parsePythonJson(text) as [
    string,
    unknown[]?,
    (string | null)?,
    (string | null | 0)?,
    Record<string, unknown>?,
    TimerCallOptions?,
  ];
  return { task, args, kwargs, options, parentId, rootId: rootId === 0 ? parentId : rootId };
}

/** The name alone of the task that a written call is of. */
export function taskOfTimerCall(text: string): string {
  return JSON.parse(/^\[("(?:[^"\\]|\\.)*")/.exec(text)![1]);
}
