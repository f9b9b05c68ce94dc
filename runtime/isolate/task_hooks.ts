/**
 * Functions of a task that are called when one of its runs begins or ends (Celery: `before_start`, `on_success`, ...):
 * around **run**, in the isolate, before the outcome is settled.
 */
import type { SignatureJson } from "../protocol/signature.ts";
import type { TaskContext } from "./task_context.ts";
import type { RegisteredTask } from "./task_definition.ts";

/**
 * Hooks of a task. Each gets the context first, then Celery's arguments in Celery's order; `currentTask()` works in them,
 * too, but the run is over for all hooks except `onBeforeStart` and `onReplace`: they send and read no messages, and retry
 * nothing. A promise is waited for before the outcome is stored. What a hook throws is logged and changes nothing, except for
 * these two, whose error is the task's.
 */
export interface TaskHooks {
  /** Before its function is called (Celery: `before_start`). */
  readonly onBeforeStart?: (
    context: TaskContext,
    taskId: string,
    args: readonly unknown[],
    kwargs: Readonly<Record<string, unknown>>,
  ) => unknown;
  /** After it has returned what can be stored. */
  readonly onSuccess?: (
    context: TaskContext,
    result: unknown,
    taskId: string,
    args: readonly unknown[],
    kwargs: Readonly<Record<string, unknown>>,
  ) => unknown;
  /** After it has failed for good: not when it is retried, nor when its isolate was ended. */
  readonly onFailure?: (
    context: TaskContext,
    error: unknown,
    taskId: string,
    args: readonly unknown[],
    kwargs: Readonly<Record<string, unknown>>,
    info: ErrorInfo,
  ) => unknown;
  /** When it is to be retried; `error` is what made it so, or undefined. */
  readonly onRetry?: (
    context: TaskContext,
    error: unknown,
    taskId: string,
    args: readonly unknown[],
    kwargs: Readonly<Record<string, unknown>>,
    info: ErrorInfo,
  ) => unknown;
  /**
   * When another workflow is to take its place (Celery: `on_replace`), with what it is, before that is planned. What it throws
   * is thrown by `ctx.replace`. Unlike in Celery it need do nothing for the replacing to go on.
   */
  readonly onReplace?: (context: TaskContext, signature: SignatureJson) => void;
  /** After it has succeeded or failed, last of all (Celery: `after_return`); `value` is its result or error. */
  readonly onAfterReturn?: (
    context: TaskContext,
    status: "SUCCESS" | "FAILURE",
    value: unknown,
    taskId: string,
    args: readonly unknown[],
    kwargs: Readonly<Record<string, unknown>>,
    info: ErrorInfo | null,
  ) => unknown;
}

/** Of an error that a hook is told of (Celery: `einfo`). */
export interface ErrorInfo {
  /** Its trace, with those of its causes, as it is stored. */
  readonly traceback: string | null;
}

/** The names of all hooks. */
export const HOOKS = [
  "onBeforeStart",
  "onSuccess",
  "onFailure",
  "onRetry",
  "onReplace",
  "onAfterReturn",
] as const;

/** How a run ended, for its hooks. */
export interface RunEnd {
  readonly status: "SUCCESS" | "FAILURE" | "RETRY";
  /** What it returned, or the error. */
  readonly value: unknown;
  readonly traceback: string | null;
}

/** Calls the function of a task after its `onBeforeStart`. */
export function startWithHook(
  { run, options }: RegisteredTask,
  context: TaskContext,
  args: readonly unknown[],
): unknown {
  const start = () => options.bind ? run(context, ...args) : run(...args);
  const begun = options.onBeforeStart?.(context, context.id, context.args, context.kwargs);
  return isThenable(begun) ? begun.then(start) : start();
}

/** Whether a task wants to be told of the end of its runs. */
export function hearsOfEnds({ onSuccess, onFailure, onRetry, onAfterReturn }: TaskHooks): boolean {
  return (onSuccess ?? onFailure ?? onRetry ?? onAfterReturn) !== undefined;
}

/**
 * Calls the hooks of a run that has ended. Gives a promise, which never rejects, where one of them has to be waited for.
 *
 * @param failed Told of each hook that threw.
 */
export function callEndHooks(
  hooks: TaskHooks,
  context: TaskContext,
  { status, value, traceback }: RunEnd,
  failed: (hook: string, error: unknown) => void,
): Promise<void> | undefined {
  const { id, args, kwargs } = context;
  const info = { traceback };
  const call = (hook: string, run: () => unknown): Promise<void> | undefined => {
    try {
      const value = run();
      if (!isThenable(value)) return undefined;
      return Promise.resolve(value).then(() => {}, (error) => failed(hook, error));
    } catch (error) {
      return void failed(hook, error);
    }
  };
  const first = status === "SUCCESS"
    ? call("onSuccess", () => hooks.onSuccess?.(context, value, id, args, kwargs))
    : status === "RETRY"
    ? call("onRetry", () => hooks.onRetry?.(context, value, id, args, kwargs, info))
    : call("onFailure", () => hooks.onFailure?.(context, value, id, args, kwargs, info));
  if (status === "RETRY") return first;
  const einfo = status === "SUCCESS" ? null : info;
  const last = () =>
    call("onAfterReturn", () => hooks.onAfterReturn?.(context, status, value, id, args, kwargs, einfo));
  return first === undefined ? last() : first.then(last);
}

/** Whether a value is waited for. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null &&
    typeof (value as PromiseLike<unknown>).then === "function";
}
