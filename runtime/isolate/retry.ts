/**
 * Tasks that are to run again later (Celery: `Task.retry`, `autoretry_for`): whether they may, when, and what then
 * becomes of their message. From **run** to **settle**; the message itself is made by `retry_message.ts`.
 */
import { millisecondsOf, priorityOf, timeOf } from "../protocol/call_options.ts";
import { MaxRetriesExceededError, outcomeOf, Retry } from "../protocol/errors.ts";
import type { TaskRequest } from "../protocol/task_message.ts";
import type { WireMessage } from "../protocol/wire_message.ts";
import { type ErrorKind, isOneOf } from "./error_kind.ts";
import { retryMessage } from "./retry_message.ts";
import { retryOf, type TaskContext } from "./task_context.ts";
import type { RegisteredTask } from "./task_definition.ts";

/** How often and when a task is tried again: options of the task, with Celery's names and defaults. */
export interface RetryPolicy {
  /** How often it may be retried; null without end. Default 3. */
  readonly maxRetries?: number | null;
  /** Seconds until a retry that names no time. Default 180. */
  readonly defaultRetryDelay?: number;
  /** Error classes (or their names) that make it retry by itself. Default none. */
  readonly autoretryFor?: readonly ErrorKind[];
  /** Those among them that don't. Default none. */
  readonly dontAutoretryFor?: readonly ErrorKind[];
  /** What `autoretryFor` retries with, as `{ maxRetries: 5, countdown: 10 }`. Default nothing. */
  readonly retryKwargs?: RetryOptions;
  /**
   * Waits twice as long before each retry by `autoretryFor`: true begins with 1 second, a number with so many (whole
   * seconds, as in Celery). Default false: `defaultRetryDelay`, or the `countdown` of `retryKwargs`.
   */
  readonly retryBackoff?: boolean | number;
  /** The longest such wait in seconds. Default 600. */
  readonly retryBackoffMax?: number;
  /** Waits a random time up to that instead, so that many tasks don't come back at once. Default true. */
  readonly retryJitter?: boolean;
}

/** What `ctx.retry()` takes (Celery: the arguments of `Task.retry`). What is not named stays as it was. */
export interface RetryOptions {
  /** Seconds until it runs again. Default: the task's `defaultRetryDelay`. */
  readonly countdown?: number;
  /** When it runs again; wins over `countdown`. */
  readonly eta?: Date;
  /**
   * The error that made it necessary: callers see it in the state RETRY, and the task fails with it when it was retried
   * as often as it may be. Default: `MaxRetriesExceededError` then.
   */
  readonly exc?: unknown;
  /** How often it may be retried, for this time; null without end. Default: the task's `maxRetries`. */
  readonly maxRetries?: number | null;
  /** False: returns the `Retry` instead of throwing it; what the task then returns or throws is stored, as in Celery. */
  readonly throw?: boolean;
  /** Other positional arguments. */
  readonly args?: readonly unknown[];
  /** Other keyword arguments. */
  readonly kwargs?: Readonly<Record<string, unknown>>;
  /** Another queue. */
  readonly queue?: string;
  /** Another exchange. */
  readonly exchange?: string;
  /** Another routing key. */
  readonly routingKey?: string;
  /** 0 to 9. */
  readonly priority?: number;
  /** Seconds from now, or the time, after which it is no longer started. */
  readonly expires?: number | Date;
  /** Headers of your own, put over those that it has. */
  readonly headers?: Readonly<Record<string, unknown>>;
  /** Seconds after which the next run is ended. */
  readonly timeLimit?: number;
  /** Seconds after which it is asked to end. */
  readonly softTimeLimit?: number;
}

/** A retry that was asked for: what its task throws, and the message that runs it again. */
export interface PlannedRetry {
  readonly error: Retry;
  readonly message: WireMessage;
}

const MAX_RETRIES = 3;
const DELAY_S = 180;
const BACKOFF_MAX_S = 600;

/**
 * What a call of `ctx.retry()` comes to at `now` (ms since 1970), for the task whose message is `text`.
 *
 * @throws `exc`, or {@linkcode MaxRetriesExceededError}, when it was retried as often as it may be.
 * @throws {UnserializableError} For arguments or headers that no message can carry.
 * @throws {RangeError} For a time or priority that can't be.
 */
export function planRetry(
  text: string,
  request: TaskRequest,
  task: RegisteredTask | undefined,
  options: RetryOptions,
  now: number,
): PlannedRetry {
  const policy: RetryPolicy = task?.options ?? {};
  const own = options.maxRetries === undefined ? policy.maxRetries : options.maxRetries;
  const most = own === undefined ? MAX_RETRIES : own;
  if (most !== null && request.retries >= most) throw options.exc ?? exceeded(request);
  const { exc, countdown = policy.defaultRetryDelay ?? DELAY_S, expires, timeLimit, softTimeLimit } = options;
  const due = options.eta === undefined
    ? now + millisecondsOf(countdown, "countdown")
    : timeOf(options.eta, "eta");
  const message = retryMessage(text, request, {
    eta: due > now ? due : null,
    ...argumentsOf(request, task, options),
    expires: expires === undefined
      ? undefined
      : typeof expires === "number"
      ? now + millisecondsOf(expires, "expires")
      : timeOf(expires, "expires"),
    timeLimit: timeLimit === undefined && softTimeLimit === undefined
      ? undefined
      : [timeLimit ?? request.timeLimit[0], softTimeLimit ?? request.timeLimit[1]],
    headers: options.headers,
    priority: options.priority === undefined ? undefined : priorityOf(options.priority),
    queue: options.queue,
    exchange: options.exchange,
    routingKey: options.routingKey,
  });
  const when = due > now ? `in ${Math.round(due - now) / 1000}s` : "at once";
  const error = new Retry(`retry ${when}${exc === undefined ? "" : `: ${exc}`}`, { when: due, cause: exc });
  return { error, message };
}

/**
 * What a run that threw `error` is settled with: a `Retry` for errors that its task retries by itself, and the error of a
 * task that was retried as often as it may be. What is thrown as a `Retry` without `ctx.retry()` is retried, too.
 *
 * @param random From 0 up to 1, as `Math.random`.
 */
export function retriedError(
  context: TaskContext,
  task: RegisteredTask,
  error: unknown,
  random: () => number,
): unknown {
  const outcome = outcomeOf(error);
  const { options } = task;
  try {
    if (outcome === "retry" && retryOf(context) === undefined) {
      const { when, cause: exc } = error as Retry;
      context.retry({ ...(when !== null && { eta: new Date(when) }), exc, throw: false });
    }
    if (outcome !== undefined || !isOneOf(error, options.autoretryFor)) return error;
    if (isOneOf(error, options.dontAutoretryFor)) return error;
    const countdown = backoff(options, context.retries, random);
    const backingOff = countdown === undefined ? {} : { countdown };
    return context.retry({ ...options.retryKwargs, ...backingOff, exc: error, throw: false });
  } catch (failure) {
    return failure;
  }
}

/** Whether a task that threw this will not run again by itself. */
export function isFinal(error: unknown): boolean {
  const outcome = outcomeOf(error);
  return outcome !== "retry" && !(outcome === "reject" && (error as { requeue?: boolean }).requeue);
}

/** Seconds before the retry after `retries` others, or undefined without a backoff. */
export function backoff(policy: RetryPolicy, retries: number, random: () => number): number | undefined {
  const { retryBackoff = false, retryBackoffMax = BACKOFF_MAX_S, retryJitter = true } = policy;
  if (retryBackoff === false || retryBackoff === 0) return undefined;
  const factor = retryBackoff === true ? 1 : Math.trunc(Math.max(1, retryBackoff));
  const longest = Math.max(0, Math.min(Math.trunc(retryBackoffMax), factor * 2 ** retries));
  return retryJitter ? Math.floor(random() * (longest + 1)) : longest;
}

/**
 * The arguments of the retry, where they change. Of a task that names its parameters, one that is given anew takes the
 * place of the former one, however that was given.
 */
function argumentsOf(
  request: TaskRequest,
  task: RegisteredTask | undefined,
  { args, kwargs }: RetryOptions,
): Pick<RetryOptions, "args" | "kwargs"> {
  const names = task?.options.params;
  if (names === undefined || (args === undefined) === (kwargs === undefined)) return { args, kwargs };
  if (args !== undefined) {
    const given = new Set(names.slice(0, args.length));
    const rest = Object.entries(request.kwargs).filter(([name]) => !given.has(name));
    return { args, kwargs: Object.fromEntries(rest) };
  }
  const before = [...request.args];
  const rest = Object.entries(kwargs!).filter(([name, value]) => {
    const at = names.indexOf(name);
    if (at < 0 || at >= before.length) return true;
    before[at] = value;
    return false;
  });
  return { args: before, kwargs: Object.fromEntries(rest) };
}

function exceeded({ task, id, retries }: TaskRequest): MaxRetriesExceededError {
  const times = retries === 1 ? "once" : `${retries} times`;
  return new MaxRetriesExceededError(`${task}[${id}] was retried ${times} already, as often as it may be`);
}
