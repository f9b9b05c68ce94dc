/**
 * Settle: a task's state and result as Celery stores them, one JSON text a task. Written by the isolate that ran it,
 * read by whoever waits for it.
 */
import { BadMessageError } from "./bad_message.ts";
import { formatIso, parseIso } from "./dates.ts";
import { isRecord } from "./envelope.ts";
import { TaskError, taskErrorOf } from "./errors.ts";
import { parsePythonJson, stringifyPythonJson } from "./python_json.ts";

/** States after which nothing follows. */
export const READY_STATES: ReadonlySet<string> = new Set(["SUCCESS", "FAILURE", "REVOKED"]);
/** States whose result is an error. */
export const EXCEPTION_STATES: ReadonlySet<string> = new Set(["FAILURE", "RETRY", "REVOKED"]);

/** Whether a task in this state is done with. */
export function isReady(status: string): boolean {
  return READY_STATES.has(status);
}

/** What stands beside a state: its place in a workflow, and with extended results the call itself. */
export interface ResultExtra {
  /** The group that it was a part of. */
  readonly groupId?: string | null;
  /** The task that called it. */
  readonly parentId?: string | null;
  /** What it called, as Celery's tuples: `[[[ID, null], null], ...]`; null stands for a parent, itself a tuple. */
  readonly children?: readonly unknown[];
  /** Extended results, all six or none of them (but for `retries`, which retried tasks always have): the task's name. */
  readonly name?: string | null;
  /** Its positional arguments. */
  readonly args?: unknown;
  /** Its keyword arguments. */
  readonly kwargs?: unknown;
  /** The node name of the worker that ran it. */
  readonly worker?: string | null;
  /** How often it was retried. */
  readonly retries?: number | null;
  /** The queue that it came from. */
  readonly queue?: string | null;
}

/** The state of a task. */
export interface ResultMeta extends ResultExtra {
  /** The task's id. */
  readonly taskId: string;
  /** `PENDING`, `STARTED`, `SUCCESS`, `FAILURE`, `RETRY`, `REVOKED`, or any of the user's own. */
  readonly status: string;
  /** The value; a {@linkcode TaskError} for FAILURE, RETRY and REVOKED. */
  readonly result?: unknown;
  /** The trace of a failed task. */
  readonly traceback?: string | null;
  /** When it was done. */
  readonly dateDone?: Date | null;
}

/** What {@linkcode decodeResult} returns: every field is there. */
export type DecodedResult = Required<ResultMeta>;

export interface FailureOptions extends ResultExtra {
  /** The module of the task: where Python looks for a class that it has not of its own. */
  readonly taskModule: string;
  /** Default: the error's stack with those of its causes. */
  readonly traceback?: string | null;
  /** Default FAILURE. */
  readonly state?: "FAILURE" | "RETRY" | "REVOKED";
}

/** The text of a SUCCESS. `resultJson` is the value as a serializer wrote it, `now` milliseconds since 1970. */
export function encodeSuccess(id: string, resultJson: string, now: number, extra?: ResultExtra): string {
  return encode("SUCCESS", resultJson, "null", formatIso(now), id, extra);
}

/**
 * The text of any state: STARTED, PROGRESS, one of the user's own.
 * @throws {UnserializableError} For a result that no message can carry.
 */
export function encodeState(meta: ResultMeta): string {
  return encode(
    meta.status,
    stringifyPythonJson(meta.result),
    JSON.stringify(meta.traceback ?? null),
    meta.dateDone ? formatIso(meta.dateDone.getTime()) : null,
    meta.taskId,
    meta,
  );
}

/**
 * The text of a failure, from whatever was thrown; `now` is milliseconds since 1970. An argument of the error that
 * can't be serialized is replaced by its text.
 */
export function encodeFailure(id: string, error: unknown, now: number, options: FailureOptions): string {
  const state = options.state ?? "FAILURE";
  const traceback = options.traceback === undefined ? tracebackOf(error) : options.traceback;
  const done = READY_STATES.has(state) ? formatIso(now) : null;
  return encode(state, encodeError(error, options.taskModule), JSON.stringify(traceback), done, id, options);
}

function encode(
  status: string,
  result: string,
  traceback: string,
  dateDone: string | null,
  id: string,
  extra: ResultExtra | undefined,
): string {
  const done = dateDone === null ? "null" : `"${dateDone}"`;
  const children = extra?.children?.length ? stringifyPythonJson(extra.children) : "[]";
  return `{"status": ${JSON.stringify(status)}, "result": ${result}, "traceback": ${traceback}, ` +
    `"children": ${children}, "date_done": ${done}, ${extra === undefined ? "" : extraText(extra)}` +
    `"task_id": ${JSON.stringify(id)}}`;
}

function extraText(extra: ResultExtra): string {
  let text = "";
  if (extra.groupId) text += `"group_id": ${JSON.stringify(extra.groupId)}, `;
  if (extra.parentId) text += `"parent_id": ${JSON.stringify(extra.parentId)}, `;
  if (extra.name) {
    text += `"name": ${JSON.stringify(extra.name)}, "args": ${stringifyPythonJson(extra.args)}, ` +
      `"kwargs": ${stringifyPythonJson(extra.kwargs)}, "worker": ${JSON.stringify(extra.worker ?? null)}, ` +
      `"retries": ${extra.retries ?? 0}, "queue": ${JSON.stringify(extra.queue ?? null)}, `;
  } else if (extra.retries) text += `"retries": ${extra.retries}, `;
  return text;
}

/**
 * Python's own exceptions that an `except Exception` catches: a class of one of these names is built in there.
 * SystemExit and the like are left out, so that a message can't end the process that reads it.
 */
const BUILTINS = new Set(
  ("ArithmeticError AssertionError AttributeError BlockingIOError BrokenPipeError BufferError ChildProcessError " +
    "ConnectionAbortedError ConnectionError ConnectionRefusedError ConnectionResetError EOFError EnvironmentError " +
    "Exception FileExistsError FileNotFoundError FloatingPointError IOError ImportError IndentationError IndexError " +
    "InterruptedError IsADirectoryError KeyError LookupError MemoryError ModuleNotFoundError NameError " +
    "NotADirectoryError NotImplementedError OSError OverflowError PermissionError ProcessLookupError RecursionError " +
    "ReferenceError RuntimeError StopAsyncIteration StopIteration SyntaxError SystemError TabError TimeoutError " +
    "TypeError UnboundLocalError UnicodeError ValueError ZeroDivisionError").split(" "),
);

/** `exc_lang` is not Celery's: Python passes over it, our callers learn from it where the task ran. */
export function encodeError(error: unknown, taskModule: string): string {
  const { name, module, args, message } = isRecord(error) ? error : {} as Record<string, unknown>;
  const type = typeof name === "string" && name !== "" ? name : "Error";
  const hasArgs = Array.isArray(args);
  const where = hasArgs && typeof module === "string" ? module : BUILTINS.has(type) ? "builtins" : taskModule;
  const shown = hasArgs
    ? args
    : [typeof message === "string" ? message : error === undefined ? "undefined" : error];
  return `{"exc_type": ${JSON.stringify(type)}, "exc_message": [${shown.map(argumentText).join(", ")}], ` +
    `"exc_module": ${JSON.stringify(where)}, "exc_lang": "js"}`;
}

/** An argument that can't be serialized is replaced by its text, as in Celery. */
function argumentText(value: unknown): string {
  try {
    return stringifyPythonJson(value);
  } catch {
    try {
      return JSON.stringify(String(value));
    } catch {
      return JSON.stringify(Object.prototype.toString.call(value));
    }
  }
}

const MAX_TRACEBACK = 32 * 1024;
const MAX_CAUSES = 10;

/** What workers say of tasks, not what a task throws: where in the worker that was said helps nobody. */
const SAID_BY_WORKERS = new Set([
  "NotRegistered",
  "TaskRevokedError",
  "WorkerLostError",
  "TimeLimitExceeded",
]);

/** The stack of an error and of what caused it; null for what has none. */
export function tracebackOf(error: unknown): string | null {
  if (error instanceof TaskError && SAID_BY_WORKERS.has(error.type)) return error.traceback;
  const parts: string[] = [];
  collect(error, "", parts);
  const text = parts.join("\n");
  if (text === "") return null;
  return text.length > MAX_TRACEBACK ? text.slice(0, MAX_TRACEBACK) + "\n..." : text;
}

function collect(error: unknown, label: string, parts: string[]): void {
  if (parts.length >= MAX_CAUSES) return;
  if (!(error instanceof Error)) {
    if (label !== "") parts.push(label + argumentText(error));
    return;
  }
  // Task code may have put anything in their place.
  const stack = typeof error.stack === "string" ? error.stack : "";
  parts.push(label + (stack.includes(error.message) ? stack : `${String(error)}\n${stack}`));
  if (error instanceof TaskError && error.traceback !== null) {
    parts.push(`Where it was raised: ${error.traceback}`);
  }
  if (error instanceof AggregateError && Array.isArray(error.errors)) {
    for (const inner of error.errors) collect(inner, "One of its errors: ", parts);
  }
  if (error.cause !== undefined) collect(error.cause, "Caused by: ", parts);
}

/** @throws {BadMessageError} When the text is no stored result. */
export function decodeResult(text: string): DecodedResult {
  let meta: unknown;
  try {
    meta = parsePythonJson(text);
  } catch (cause) {
    const detail = `${(cause as Error).message}; from Celery, set its result_serializer to json`;
    throw new BadMessageError("result is not JSON", { detail, cause });
  }
  if (!isRecord(meta) || typeof meta.status !== "string" || typeof meta.task_id !== "string") {
    throw new BadMessageError("result has no status or task id");
  }
  const traceback = textOrNull(meta.traceback);
  return {
    taskId: meta.task_id,
    status: meta.status,
    result: EXCEPTION_STATES.has(meta.status) ? errorOf(meta.result, traceback, meta.task_id) : meta.result,
    traceback,
    children: Array.isArray(meta.children) ? meta.children : [],
    dateDone: dateOf(meta.date_done),
    groupId: textOrNull(meta.group_id),
    parentId: textOrNull(meta.parent_id),
    name: textOrNull(meta.name),
    args: meta.args ?? null,
    kwargs: meta.kwargs ?? null,
    worker: textOrNull(meta.worker),
    retries: typeof meta.retries === "number" ? meta.retries : null,
    queue: textOrNull(meta.queue),
  };
}

function errorOf(result: unknown, traceback: string | null, taskId: string): TaskError {
  const error = isRecord(result) ? result : { exc_message: result };
  const message = error.exc_message;
  return taskErrorOf({
    type: typeof error.exc_type === "string" ? error.exc_type : "Error",
    module: textOrNull(error.exc_module) ?? undefined,
    args: Array.isArray(message) ? message : message === null || message === undefined ? [] : [message],
    traceback,
    taskId,
    remote: error.exc_lang === "js" ? "js" : "python",
  });
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function dateOf(value: unknown): Date | null {
  if (value instanceof Date) return value;
  if (typeof value !== "string") return null;
  try {
    return new Date(parseIso(value));
  } catch (cause) {
    throw new BadMessageError("result has a bad date", { detail: (cause as Error).message, cause });
  }
}
