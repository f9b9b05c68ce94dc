/**
 * How a failed task reaches its caller, and what a task throws to say what becomes of it. Names are Celery's on the
 * wire, so that an error keeps its name from Python to TypeScript and back.
 */

/** Where an error comes from and what it holds beside its type. */
export interface TaskErrorOptions {
  /** Python's `args`; what a JavaScript error has is its message alone. */
  readonly args?: readonly unknown[];
  /** The module that defines the type: `"builtins"`, `"celery.exceptions"`, a task's own. */
  readonly module?: string;
  /** The traceback as the worker wrote it. */
  readonly traceback?: string | null;
  /** Which language the task ran in. Default `"js"`. */
  readonly remote?: "python" | "js";
  readonly taskId?: string;
  /** Default: the text of `args`. */
  readonly message?: string;
  readonly cause?: unknown;
}

/**
 * A task's error as its caller gets it: `type` (and `name`) is the remote class's name, `message` its text, so that it
 * prints as `ValueError: bad`. Known types arrive as the subclasses below.
 */
export class TaskError extends Error {
  override readonly name: string;
  readonly type: string;
  readonly args: unknown[];
  readonly module: string;
  readonly traceback: string | null;
  readonly remote: "python" | "js";
  readonly taskId: string | undefined;

  constructor(type: string, options: TaskErrorOptions = {}) {
    const args = [...options.args ?? []];
    super(
      options.message ?? args.map(textOf).join(", "),
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.name = this.type = type;
    this.args = args;
    this.module = options.module ?? "builtins";
    this.traceback = options.traceback ?? null;
    this.remote = options.remote ?? "js";
    this.taskId = options.taskId;
  }
}

/** The worker knows no task of that name. */
export class NotRegistered extends TaskError {
  constructor(task: string, options: TaskErrorOptions = {}) {
    super("NotRegistered", {
      args: [task],
      module: "celery.exceptions",
      message: `no task is registered under the name "${task}"`,
      ...options,
    });
  }
}

/** The task was revoked, terminated, or had expired: `args[0]` says which. */
export class TaskRevokedError extends TaskError {
  constructor(why = "revoked", options: TaskErrorOptions = {}) {
    super("TaskRevokedError", { args: [why], module: "celery.exceptions", ...options });
  }
}

/** The isolate or worker that ran the task ended before the task did. */
export class WorkerLostError extends TaskError {
  constructor(why = "the worker that ran the task is gone", options: TaskErrorOptions = {}) {
    super("WorkerLostError", { args: [why], module: "billiard.exceptions", ...options });
  }
}

/** The task ran longer than its hard limit and was ended. */
export class TimeLimitExceeded extends TaskError {
  constructor(seconds?: number, options: TaskErrorOptions = {}) {
    super("TimeLimitExceeded", {
      args: seconds === undefined ? [] : [seconds],
      module: "billiard.exceptions",
      message: `the task ran longer than its time limit${seconds === undefined ? "" : ` of ${seconds} s`}`,
      ...options,
    });
  }
}

/** The task's soft limit is over: the reason of the `AbortSignal` in its context, fit to be thrown. */
export class SoftTimeLimitExceeded extends TaskError {
  constructor(seconds?: number, options: TaskErrorOptions = {}) {
    super("SoftTimeLimitExceeded", {
      args: seconds === undefined ? [] : [seconds],
      module: "billiard.exceptions",
      message: `the task ran longer than its soft time limit${
        seconds === undefined ? "" : ` of ${seconds} s`
      }`,
      ...options,
    });
  }
}

/** The task failed and was tried again as often as it may be. */
export class MaxRetriesExceededError extends TaskError {
  constructor(message = "the task was retried as often as it may be", options: TaskErrorOptions = {}) {
    super("MaxRetriesExceededError", { args: [message], module: "celery.exceptions", ...options });
  }
}

/** A part of a chord failed, so its body was not run. */
export class ChordError extends TaskError {
  constructor(message = "a part of the chord failed", options: TaskErrorOptions = {}) {
    super("ChordError", { args: [message], module: "celery.exceptions", ...options });
  }
}

/** The known types, by the name and the module they have on the wire. */
const KNOWN: Readonly<Record<string, (args: unknown[], options: TaskErrorOptions) => TaskError>> = {
  "celery.exceptions.NotRegistered": ([task], options) => new NotRegistered(textOf(task), options),
  "celery.exceptions.TaskRevokedError": ([why], options) => new TaskRevokedError(textOf(why), options),
  "celery.exceptions.MaxRetriesExceededError": ([why], options) =>
    new MaxRetriesExceededError(textOf(why), options),
  "celery.exceptions.ChordError": ([why], options) => new ChordError(textOf(why), options),
  "billiard.exceptions.WorkerLostError": ([why], options) => new WorkerLostError(textOf(why), options),
  "billiard.exceptions.TimeLimitExceeded": ([limit], options) =>
    new TimeLimitExceeded(typeof limit === "number" ? limit : undefined, options),
  "billiard.exceptions.SoftTimeLimitExceeded": ([limit], options) =>
    new SoftTimeLimitExceeded(typeof limit === "number" ? limit : undefined, options),
};

/** The error of that type and module: one of the subclasses above, else a plain `TaskError`. */
export function taskErrorOf(
  type: string,
  module: string,
  args: unknown[],
  options: TaskErrorOptions,
): TaskError {
  const known = Object.hasOwn(KNOWN, `${module}.${type}`) ? KNOWN[`${module}.${type}`] : undefined;
  return known?.(args, { ...options, args }) ?? new TaskError(type, { ...options, args, module });
}

const OUTCOME: unique symbol = Symbol.for("celeriac.outcome") as never;

/** Thrown by a task that wants nothing to be stored of it. The message is acknowledged. */
export class Ignore extends Error {
  override readonly name = "Ignore";
  readonly [OUTCOME] = "ignore";
}

/** Thrown by a task that gives its message back: to its queue with `requeue`, else to the dead letters. */
export class Reject extends Error {
  override readonly name = "Reject";
  readonly [OUTCOME] = "reject";
  readonly requeue: boolean;

  constructor(reason = "rejected by the task", requeue = false) {
    super(reason);
    this.requeue = requeue;
  }
}

/** Thrown to run the task again later; what `ctx.retry()` throws. */
export class Retry extends Error {
  override readonly name = "Retry";
  readonly [OUTCOME] = "retry";
  /** When it runs again, in milliseconds since 1970; null as soon as it can. */
  readonly when: number | null;

  /** `cause` is the error that made it retry: it is what the state RETRY shows. */
  constructor(message = "the task will be retried", options: { when?: number; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.when = options.when ?? null;
  }
}

/** What a thrown value asks for; recognized across copies of this library. */
export function outcomeOf(thrown: unknown): "ignore" | "reject" | "retry" | undefined {
  return typeof thrown === "object" && thrown !== null
    ? (thrown as Ignore | Reject | Retry)[OUTCOME]
    : undefined;
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return String(value);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}
