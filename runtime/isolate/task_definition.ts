/**
 * What a task module says of its tasks: the options beside the function. Read in the isolate when it loads the
 * modules (before **run**), and by the client for the defaults of a call (**publish**).
 */
import { type ErrorKind, errorName } from "./error_kind.ts";
import { plainPermissions, type TaskPermissions } from "./permissions.ts";
import type { RetryPolicy } from "./retry.ts";
import type { TaskContext } from "./task_context.ts";
import { HOOKS, type TaskHooks } from "./task_hooks.ts";

/** Options of one task, all optional. Celery's name in brackets where it differs by more than its case. */
export interface TaskOptions extends RetryPolicy, TaskHooks {
  /** The name on the wire. Default: `<module>.<export>`. */
  readonly name?: string;
  /** Names of the parameters, in order: keyword arguments fill them, an unknown or missing one fails the task. */
  readonly params?: readonly string[];
  /** Hands the task's context to the function as its first argument. Default false. */
  readonly bind?: boolean;
  /** Stores no result. Default: the setting `taskIgnoreResult`. */
  readonly ignoreResult?: boolean;
  /** Stores errors even where results are ignored. Default: the setting `taskStoreErrorsEvenIfIgnored`. */
  readonly storeErrorsEvenIfIgnored?: boolean;
  /** Whether a result of `undefined` is stored (as null). Default true. */
  readonly storeUndefined?: boolean;
  /** Seconds a result is kept; 0 keeps it for ever. Default: the setting `resultExpires`. */
  readonly resultExpires?: number;
  /** `"json"` or `"msgpack"`, for the arguments when the task is sent. Default: the setting `taskSerializer`. */
  readonly serializer?: string;
  /** `"zlib"`, `"gzip"`, `"zstd"` or `"brotli"`, for the arguments when the task is sent. Default: none. */
  readonly compression?: string;
  /** The queue it is sent to. Default: by `taskRoutes`, else `taskDefaultQueue`. */
  readonly queue?: string;
  /** 0 to 9; 0 is served first on Redis, SQLite and memory. Default: the setting `taskDefaultPriority`. */
  readonly priority?: number;
  /** Seconds after which it is no longer started, counted from the call. Default: never. */
  readonly expires?: number;
  /** Acknowledges after the run, not before it. Default: the setting `taskAcksLate`, true. */
  readonly acksLate?: boolean;
  /** Runs again, instead of failing with `WorkerLostError`, when its isolate dies. Default false. */
  readonly rejectOnWorkerLost?: boolean;
  /**
   * Acknowledges a message whose task has failed or met its time limit; otherwise it is kept as a dead letter. Of those that
   * are acknowledged after the run. Default: the setting `taskAcksOnFailureOrTimeout`, true.
   */
  readonly acksOnFailureOrTimeout?: boolean;
  /**
   * Seconds it may run. Then its isolate is ended, whatever it does, and the task fails with `TimeLimitExceeded`. Default: the
   * setting `taskTimeLimit`; 0 is no limit.
   */
  readonly timeLimit?: number;
  /**
   * Seconds after which its `ctx.signal` aborts, for it to end in its own way. Default: the setting `taskSoftTimeLimit`; 0 is
   * no limit.
   */
  readonly softTimeLimit?: number;
  /** While it runs nothing else runs in its isolate, however many slots that has. Default false. */
  readonly exclusive?: boolean;
  /**
   * Where it runs: in a thread of the worker, or in a process of its own, whose crash harms nobody else. Tasks with the same
   * demands share isolates. Default `"thread"`; `"process"` with a `memoryLimit`, and on Deno with a `timeLimit`, because
   * threads that compute without a pause can't be ended there.
   */
  readonly isolation?: "thread" | "process";
  /**
   * How much memory its process may take for it: `"256MB"`, `"1GB"`, or bytes. With more the process is ended, and the task
   * fails with `MemoryLimitExceeded`. Default: none.
   */
  readonly memoryLimit?: number | string;
  /**
   * What it may reach from its isolate, on Deno: `"none"`, `"inherit"` (all that its worker may), or kinds of access, as
   * `{ read: ["data"], net: ["api.example.com:443"] }`, each denied that is not named. Bun can't enforce it and refuses such
   * tasks. Default: `"inherit"`, and `"none"` in a worker with `--sandbox`.
   */
  readonly permissions?: TaskPermissions;
  /** Stores STARTED when it starts. Default: the setting `taskTrackStarted`. */
  readonly trackStarted?: boolean;
  /** Error classes (or their names) that are expected: logged in one line, without their trace. */
  readonly throws?: readonly ErrorKind[];
  /** Records the tasks that it sends among the `children` of its result. Default true. */
  readonly trail?: boolean;
  /** How what it sends by `ctx.send` is bounded. */
  readonly messages?: MessageLimits;
  /**
   * Does not run a redelivered message again whose result is stored already and final. Default: the setting `taskDedupe`,
   * true.
   */
  readonly dedupe?: boolean;
}

/** How the messages that a task sends are bounded. */
export interface MessageLimits {
  /** Messages that may wait to be read. Default 10,000. */
  readonly maxMessages?: number;
  /** What becomes of more: the task waits for room, or the oldest ones are dropped. Default `"wait"`. */
  readonly whenFull?: "wait" | "drop-oldest";
  /** Seconds without any room after which the task fails: nobody may ever read. Default 30. */
  readonly patience?: number;
  /** Seconds after the last message was sent for which all that wait are kept; 0 for ever. Default 86400, a day. */
  readonly ttl?: number;
}

/** Where a task's options hang on its function; registered, so that a second copy of the library reads them too. */
export const TASK_OPTIONS: unique symbol = Symbol.for("celeriac.task.options") as never;
/** Where the function that a task wraps hangs on the wrapper. */
export const TASK_FUNCTION: unique symbol = Symbol.for("celeriac.task.function") as never;
/** Where the name under which a worker knows a task hangs on the wrapper, once its module is loaded there. */
export const TASK_NAME: unique symbol = Symbol.for("celeriac.task.name") as never;

/** A function with a task's options on it. */
export interface MarkedFunction {
  (...args: never[]): unknown;
  readonly [TASK_OPTIONS]?: TaskOptions;
  readonly [TASK_FUNCTION]?: TaskFunction;
  [TASK_NAME]?: string;
}

/** The user's own function; with `bind` its first argument is the context. */
export type TaskFunction = (...args: unknown[]) => unknown;

/** A function that a worker runs under a name. */
export interface RegisteredTask {
  readonly name: string;
  /** Path or URL of the module it came from, for messages. */
  readonly module: string;
  readonly run: TaskFunction;
  readonly options: TaskOptions;
}

/** What can be said of a task outside its isolate: for listings, and for the main thread's own decisions. */
export interface TaskDescription {
  /** On the wire. */
  readonly name: string;
  /** Path of its module. */
  readonly module: string;
  /** Names of its parameters, where its options say them. */
  readonly params: readonly string[] | null;
  /** The options that were given, without what can't be copied between threads. */
  readonly options: Omit<TaskOptions, "throws" | "autoretryFor" | "dontAutoretryFor" | keyof TaskHooks> & {
    readonly throws?: readonly string[];
    readonly autoretryFor?: readonly string[];
    readonly dontAutoretryFor?: readonly string[];
  };
}

/** The tasks of one module's exports. */
export function tasksOf(
  exports: Readonly<Record<string, unknown>>,
  module: { readonly name: string; readonly path: string },
): RegisteredTask[] {
  const members = Object.entries(exports);
  const whole = exports.default;
  if (typeof whole === "object" && whole !== null) members.push(...Object.entries(whole));
  const tasks: RegisteredTask[] = [];
  for (const [key, value] of members) {
    if (typeof value !== "function" || isClass(value)) continue;
    const marked = value as MarkedFunction;
    const options: TaskOptions = marked[TASK_OPTIONS] ?? {};
    const name = options.name ?? `${module.name}.${key}`;
    // What it sends itself by `.delay()` in here comes back under this name, with its folder and prefix.
    if (marked[TASK_FUNCTION] !== undefined) marked[TASK_NAME] ??= name;
    tasks.push({
      name,
      module: module.path,
      run: marked[TASK_FUNCTION] ?? value as TaskFunction,
      options,
    });
  }
  return tasks;
}

/** The name under which a function, or what `task()` made of it, is one of `tasks`; undefined where it is none. */
export function nameOf(fn: unknown, tasks: ReadonlyMap<string, RegisteredTask>): string | undefined {
  const marked = fn as MarkedFunction;
  const name = marked[TASK_NAME] ?? marked[TASK_OPTIONS]?.name;
  if (name !== undefined) return name;
  const run = marked[TASK_FUNCTION] ?? fn;
  for (const task of tasks.values()) {
    if (task.run === run || (task.run as MarkedFunction)[TASK_FUNCTION] === run) return task.name;
  }
  return undefined;
}

// An exported class is most often an error or a type that tasks share; `new` is not how a task is run.
function isClass(value: unknown): boolean {
  return /^class[\s{]/.test(Function.prototype.toString.call(value));
}

/** Describes a task for other threads. */
export function describeTask(task: RegisteredTask): TaskDescription {
  const options: Record<string, unknown> = { ...task.options };
  for (const hook of HOOKS) delete options[hook];
  for (const option of ["throws", "autoretryFor", "dontAutoretryFor"] as const) {
    const kinds = task.options[option];
    if (kinds !== undefined) options[option] = kinds.map(errorName);
  }
  if (task.options.permissions !== undefined) {
    options.permissions = plainPermissions(task.options.permissions);
  }
  return {
    name: task.name,
    module: task.module,
    params: task.options.params ?? null,
    options: options as TaskDescription["options"],
  };
}

/** How two lists of tasks differ, a word each: `+new`, `-gone`, and `~name` where module, parameters or options changed. */
export function taskChanges(before: readonly TaskDescription[], now: readonly TaskDescription[]): string[] {
  const was = new Map(before.map((task) => [task.name, JSON.stringify(task)]));
  const is = new Map(now.map((task) => [task.name, JSON.stringify(task)]));
  return [
    ...now.filter(({ name }) => !was.has(name)).map(({ name }) => `+${name}`),
    ...before.filter(({ name }) => !is.has(name)).map(({ name }) => `-${name}`),
    ...now.filter(({ name }) => was.has(name) && was.get(name) !== is.get(name)).map(({ name }) =>
      `~${name}`
    ),
  ];
}

/** The bound form of a task's function. */
export type BoundFunction<Args extends unknown[], Result> = (context: TaskContext, ...args: Args) => Result;
