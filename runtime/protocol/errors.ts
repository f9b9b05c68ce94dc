/**
 * How a failed task reaches its caller, and what a task throws to say what becomes of it. Names are Celery's on the
 * wire, so that an error keeps its name from Python to TypeScript and back.
 */

/** Where an error comes from and what it holds beside its message. */
export interface TaskErrorOptions {
  /** The remote class's name. Default `"TaskError"`. */
  readonly type?: string;
  /** Python's `args`; what a JavaScript error has is its message alone. Default: the message. */
  readonly args?: readonly unknown[];
  /** The module that defines the type: `"builtins"`, a task's own, ... Default `"celery.exceptions"`. */
  readonly module?: string;
  /** The traceback as the worker wrote it. */
  readonly traceback?: string | null;
  /** Which language the task ran in. Default `"js"`. */
  readonly remote?: "python" | "js";
  /** The id of the task that failed. */
  readonly taskId?: string;
  /** What led to the error, where it is known on this side. */
  readonly cause?: unknown;
}

/**
 * A task's error as its caller gets it: `type` (and `name`) is the remote class's name, `message` its text, so that it
 * prints as `ValueError: bad`. Known types arrive as the subclasses below.
 */
export class TaskError extends Error {
  /** The same as {@linkcode TaskError.type}. */
  override readonly name: string;
  /** The remote class's name. */
  readonly type: string;
  /** Python's `args`; for a JavaScript error its message alone. */
  readonly args: unknown[];
  /** The module that defines the type. */
  readonly module: string;
  /** The worker's, as text; this error's own `stack` begins where it was read. */
  readonly traceback: string | null;
  /** Which language the task ran in. */
  readonly remote: "python" | "js";
  /** The id of the task that failed, where it is known. */
  readonly taskId: string | undefined;

  /** Made where a result is read. */
  constructor(message: string, options: TaskErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = this.type = options.type ?? "TaskError";
    this.args = options.args === undefined ? [message] : [...options.args];
    this.module = options.module ?? "celery.exceptions";
    this.traceback = options.traceback ?? null;
    this.remote = options.remote ?? "js";
    this.taskId = options.taskId;
  }
}

/** The worker knows no task of that name. */
export class NotRegistered extends TaskError {
  /** `task` is the name that nobody knows. */
  constructor(task: string, options: TaskErrorOptions = {}) {
    super(`no task is registered under the name "${task}"`, {
      type: "NotRegistered",
      args: [task],
      ...options,
    });
  }
}

/** The task was revoked, terminated, or had expired: the message says which. */
export class TaskRevokedError extends TaskError {
  /** `why` says what became of it. */
  constructor(why = "revoked", options: TaskErrorOptions = {}) {
    super(why, { type: "TaskRevokedError", ...options });
  }
}

/** The task failed and was tried again as often as it may be. */
export class MaxRetriesExceededError extends TaskError {
  /** `message` says of which task. */
  constructor(message = "the task was retried as often as it may be", options: TaskErrorOptions = {}) {
    super(message, { type: "MaxRetriesExceededError", ...options });
  }
}

/** A part of a chord failed, so its body was not run. */
export class ChordError extends TaskError {
  /** `message` says which part, and with what. */
  constructor(message = "a part of the chord failed", options: TaskErrorOptions = {}) {
    super(message, { type: "ChordError", ...options });
  }
}

/** Celery takes these from the library that runs its processes. */
const POOL_MODULE = "billiard.exceptions";

/** The isolate or worker that ran the task ended before the task did. */
export class WorkerLostError extends TaskError {
  /** `why` says how it ended. */
  constructor(why = "the worker that ran the task is gone", options: TaskErrorOptions = {}) {
    super(why, { type: "WorkerLostError", module: POOL_MODULE, ...options });
  }
}

/** The task ran longer than its hard limit and was ended. */
export class TimeLimitExceeded extends TaskError {
  /** `seconds` is the limit. */
  constructor(seconds?: number, options: TaskErrorOptions = {}) {
    const args = seconds === undefined ? [] : [seconds];
    super(`the task ran longer than its time limit${limitText(seconds)}`, {
      type: "TimeLimitExceeded",
      module: POOL_MODULE,
      args,
      ...options,
    });
  }
}

/** The task's soft limit is over: the reason of the `AbortSignal` in its context, fit to be thrown. */
export class SoftTimeLimitExceeded extends TaskError {
  /** `seconds` is the limit. */
  constructor(seconds?: number, options: TaskErrorOptions = {}) {
    const args = seconds === undefined ? [] : [seconds];
    super(`the task ran longer than its soft time limit${limitText(seconds)}`, {
      type: "SoftTimeLimitExceeded",
      module: POOL_MODULE,
      args,
      ...options,
    });
  }
}

/** The task took more memory than its limit, and its process was ended. Celery has no such error. */
export class MemoryLimitExceeded extends TaskError {
  /** `why` says how much it may take. */
  constructor(why = "the task took more memory than it may", options: TaskErrorOptions = {}) {
    super(why, { type: "MemoryLimitExceeded", ...options });
  }
}

function limitText(seconds: number | undefined): string {
  return seconds === undefined ? "" : ` of ${seconds} s`;
}

/** The error that a stored type, module and `args` stand for: one of the subclasses above where there is one. */
export function taskErrorOf(
  options: TaskErrorOptions & { type: string; args: readonly unknown[] },
): TaskError {
  const [first] = options.args;
  const why = first === undefined ? undefined : textOf(first);
  const seconds = typeof first === "number" ? first : undefined;
  switch (options.type) {
    case "NotRegistered":
      return new NotRegistered(why ?? "", options);
    case "TaskRevokedError":
      return new TaskRevokedError(why, options);
    case "MaxRetriesExceededError":
      return new MaxRetriesExceededError(why, options);
    case "Reject":
      return new TaskError(why ?? "", options);
    case "ChordError":
      return new ChordError(why, options);
    case "WorkerLostError":
      return new WorkerLostError(why, options);
    case "TimeLimitExceeded":
      return new TimeLimitExceeded(seconds, options);
    case "MemoryLimitExceeded":
      return new MemoryLimitExceeded(why, options);
    case "SoftTimeLimitExceeded":
      return new SoftTimeLimitExceeded(seconds, options);
  }
  return new TaskError(options.args.map(textOf).join(", "), options);
}

const OUTCOME: unique symbol = Symbol.for("celeriac.outcome") as never;

/** Thrown by a task that wants nothing to be stored of it. The message is acknowledged. */
export class Ignore extends Error {
  /** Always `"Ignore"`. */
  override readonly name = "Ignore";
  /** Tells the isolate, whichever copy of the library threw it. */
  readonly [OUTCOME] = "ignore";
}

/** What becomes of a message that its task rejects. */
export interface RejectOptions {
  /** Whether it goes back to its queue, to be run again at once. Default false: it is kept as a dead letter. */
  readonly requeue?: boolean;
}

/**
 * Thrown by a task that gives its message back: to its queue with `requeue`, else to the dead letters; then the task has
 * failed, and `Reject` is what its caller gets.
 *
 * @example
 * ```ts
 * import { Reject } from "../../mod.ts";
 *
 * export function bill(order: { total?: number }): number {
 *   if (order.total === undefined) throw new Reject("an order without a total");
 *   return order.total;
 * }
 * ```
 */
export class Reject extends Error {
  /** Always `"Reject"`. */
  override readonly name = "Reject";
  /** Tells the isolate, whichever copy of the library threw it. */
  readonly [OUTCOME] = "reject";
  /** Whether the message goes back to its queue. */
  readonly requeue: boolean;

  /** Where callers in Python find its class. */
  readonly module = "celery.exceptions";
  /** What a Python caller's has: the reason, and whether it was requeued. */
  readonly args: readonly unknown[];

  /** `reason` stands beside the dead letter. Both spellings are known: `{ requeue }` alone, and Celery's `(reason, requeue)`. */
  constructor(reason: string | RejectOptions = {}, options: RejectOptions | boolean = {}) {
    const why = typeof reason === "string" ? reason : "rejected by the task";
    super(why);
    const { requeue = false } = typeof reason !== "string"
      ? reason
      : typeof options === "boolean"
      ? { requeue: options }
      : options;
    this.requeue = requeue;
    this.args = [why, requeue];
  }
}

/**
 * Thrown to run the task again later; what `ctx.retry()` throws. Thrown without it, the task is retried at `when`, or after
 * its `defaultRetryDelay`.
 */
export class Retry extends Error {
  /** Always `"Retry"`. */
  override readonly name = "Retry";
  /** Tells the isolate, whichever copy of the library threw it. */
  readonly [OUTCOME] = "retry";
  /** When it runs again, in milliseconds since 1970; null: after the task's `defaultRetryDelay`. */
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
