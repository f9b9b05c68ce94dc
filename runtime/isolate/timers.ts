/**
 * The timers that a running task sets: part of **run**. They wait in the hub of the worker (`hub/`), or in its broker, and
 * what they call is published as a task of its own when they are due. A task's result is not reported before the hub has
 * what the task has set: whoever reads a timer's id there can cancel it.
 */
import { type TimerCallOptions, writeTimerCall } from "../hub/timer_call.ts";
import { type CancelAnswer, type HubPort, type SetTimer, TimerLimitError } from "../hub/port.ts";
import { priorityOf } from "../protocol/call_options.ts";
import type { TaskRequest } from "../protocol/task_message.ts";

/** How a timer is kept, and what its callback's message says. */
export interface TimerOptions extends TimerCallOptions {
  /**
   * Kept by the broker, as a task with a countdown is, so that it survives this worker. Default false: it waits in the
   * memory of this worker, and is lost when that ends.
   */
  readonly durable?: boolean;
}

/** What a timer calls: a task of this worker, or the name of any task, in TypeScript or in Python. */
export type TimerCallback<Args extends unknown[]> = string | ((...args: Args) => unknown);

/** What surrounds the timers of one run. */
export interface RunTimersOptions {
  readonly port: HubPort;
  readonly request: TaskRequest;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Bytes of a message, at the most. */
  readonly maxBodyBytes: number;
  /** The name under which a function is a task here. */
  readonly nameOf: (task: unknown) => string | undefined;
}

/** The timers of one message to the hub that belong to this run. */
interface Unanswered {
  readonly held: Promise<number>;
  /** Their places in it, but for those whose fate the task looks at itself. */
  readonly unseen: Set<number>;
}

/** No message tells a later time. */
const LAST_TIME = Date.UTC(10_000, 0);
const SHORTEST_SECONDS = 0.001;

/** A timer that was set. */
export class Timer {
  /** Text that can be stored anywhere: it says where the timer is. The callback runs as the task of this id. */
  readonly id: string;
  readonly #held: () => Promise<void>;
  readonly #cancel: () => Promise<CancelAnswer>;

  /** Made by the context of a task. */
  constructor(id: string, held: () => Promise<void>, cancel: () => Promise<CancelAnswer>) {
    this.id = id;
    this.#held = held;
    this.#cancel = cancel;
  }

  /**
   * Resolves when the hub has it, or the broker if it is durable; rejects with {@linkcode TimerLimitError} where there is
   * no room. A task that does not look at this fails in the end, if one of its timers could not be set.
   */
  get held(): Promise<void> {
    return this.#held();
  }

  /**
   * Takes it back. After `"cancelled"` its callback is not called; `"too late"`: it was due already, or is cancelled.
   */
  cancel(): Promise<CancelAnswer> {
    return this.#cancel();
  }
}

/** The timers of one run. */
export class RunTimers {
  readonly #options: RunTimersOptions;
  readonly #unanswered = new Set<Unanswered>();
  #last: Unanswered | undefined;

  constructor(options: RunTimersOptions) {
    this.#options = options;
  }

  /** Calls back in so many seconds. */
  after(
    seconds: number,
    callback: unknown,
    args: readonly unknown[] = [],
    kwargs: Readonly<Record<string, unknown>> = {},
    options: TimerOptions = {},
  ): Timer {
    const { port, now } = this.#options;
    const ms = milliseconds(seconds, "callAfter", 0);
    const call = this.#call("callAfter", callback, args, kwargs, options);
    return this.#held(
      options.durable
        ? port.keep(checked(now() + ms, "callAfter"), call)
        : port.set(port.now + ms, 0, false, call),
    );
  }

  /** Calls back at a time. */
  at(
    date: Date,
    callback: unknown,
    args: readonly unknown[] = [],
    kwargs: Readonly<Record<string, unknown>> = {},
    options: TimerOptions = {},
  ): Timer {
    const { port } = this.#options;
    const due = checked(date instanceof Date ? date.getTime() : NaN, "callAt");
    const call = this.#call("callAt", callback, args, kwargs, options);
    return this.#held(options.durable ? port.keep(due, call) : port.set(due, 0, true, call));
  }

  /** Calls back every so many seconds. */
  repeatedly(
    every: number,
    callback: unknown,
    args: readonly unknown[] = [],
    kwargs: Readonly<Record<string, unknown>> = {},
    options: TimerOptions = {},
  ): Timer {
    const { port } = this.#options;
    const ms = milliseconds(every, "callRepeatedly", SHORTEST_SECONDS);
    if (options.durable) {
      throw new TypeError(
        "callRepeatedly keeps nothing durable: a periodic task (a schedule of beat) is that",
      );
    }
    const call = this.#call("callRepeatedly", callback, args, kwargs, options);
    return this.#held(port.set(port.now + ms, ms, false, call));
  }

  /** Cancels any timer by its id. */
  cancel(id: string): Promise<CancelAnswer> {
    return this.#options.port.cancel(id);
  }

  /**
   * Resolves when all that was set is held; nothing to wait for gives nothing.
   *
   * @throws {TimerLimitError} When there was no room for one that the task did not look at.
   */
  finish(): Promise<void> | undefined {
    if (this.#unanswered.size === 0) return undefined;
    return this.#finish();
  }

  async #finish(): Promise<void> {
    for (const { held, unseen } of this.#unanswered) {
      const count = await held.catch((error) => {
        if (unseen.size > 0) throw error;
        return 0;
      });
      for (const index of unseen) if (index >= count) throw new TimerLimitError(this.#options.port.limit);
    }
  }

  #call(
    method: string,
    callback: unknown,
    args: readonly unknown[],
    kwargs: Readonly<Record<string, unknown>>,
    { durable: _durable, ...options }: TimerOptions,
  ): string {
    const task = typeof callback === "function" ? this.#options.nameOf(callback) : callback;
    if (typeof task !== "string" || task === "") {
      throw new TypeError(
        typeof callback === "function"
          ? `${method}: the function ${callback.name || "without a name"} is no task of this worker: ` +
            "export it from a task module, or give the task's name"
          : `${method} calls a task, or the name of one; it was given ${typeof callback}`,
      );
    }
    if (!Array.isArray(args)) throw new TypeError(`${method}: the arguments are no list`);
    checkOptions(options, method);
    const { request: { id, rootId }, maxBodyBytes } = this.#options;
    const call = writeTimerCall({ task, args, kwargs, options, parentId: id, rootId: rootId ?? id });
    if (call.length <= maxBodyBytes) return call;
    throw new RangeError(
      `${method}: a call of ${call.length} characters; no message may have over ${maxBodyBytes}`,
    );
  }

  #held(set: SetTimer): Timer {
    const { port } = this.#options;
    const unanswered = this.#last?.held === set.held ? this.#last : this.#expect(set.held);
    unanswered.unseen.add(set.index);
    const held = () => {
      unanswered.unseen.delete(set.index);
      return set.held.then((count) => {
        if (set.index >= count) throw new TimerLimitError(port.limit);
      });
    };
    return new Timer(set.id, held, () => port.cancel(set.id));
  }

  #expect(held: Promise<number>): Unanswered {
    const unanswered = { held, unseen: new Set<number>() };
    this.#unanswered.add(this.#last = unanswered);
    const keep = (count: number) => {
      for (const index of unanswered.unseen) if (index >= count) return;
      this.#unanswered.delete(unanswered);
    };
    held.then(keep, () => {});
    return unanswered;
  }
}

function milliseconds(seconds: number, method: string, least: number): number {
  if (typeof seconds === "number" && seconds >= least && seconds < LAST_TIME / 1000) return seconds * 1000;
  throw new RangeError(`${method}: ${seconds} is no number of seconds, ${least} or more`);
}

function checked(due: number, method: string): number {
  if (due < LAST_TIME && due > -LAST_TIME) return due;
  throw new RangeError(`${method}: the time is an invalid date, or later than the year 9999`);
}

function checkOptions({ queue, priority, expires }: TimerCallOptions, method: string): void {
  if (queue !== undefined && (typeof queue !== "string" || queue === "")) {
    throw new TypeError(`${method}: the option queue is no queue's name`);
  }
  if (priority !== undefined) priorityOf(priority, `${method}: priority`);
  if (expires !== undefined && !(Number.isFinite(expires) && expires > 0)) {
    throw new RangeError(`${method}: expires is ${expires}, but must be a number of seconds above 0`);
  }
}
