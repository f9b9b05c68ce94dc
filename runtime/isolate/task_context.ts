/**
 * What a running task knows of itself (Celery: `self.request` and the methods of a bound task). Belongs to **run**;
 * handed over by `bind: true`, or asked for from anywhere inside a run by {@linkcode currentTask}.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { TaskRequest } from "../protocol/task_message.ts";
import type { Correspondence, TaskProgress } from "./correspondence.ts";

/** Where a task's log lines go. */
export interface TaskLog {
  /** For whoever looks for a fault. */
  debug(...values: unknown[]): void;
  /** What goes as it should. */
  info(...values: unknown[]): void;
  /** What somebody should know of. */
  warning(...values: unknown[]): void;
  /** What went wrong. */
  error(...values: unknown[]): void;
}

/** What surrounds a run: the isolate, or the caller's own process. */
export interface TaskHost {
  readonly hostname: string;
  readonly log: TaskLog;
  /** Stores a state of the running task's own. */
  storeState(request: TaskRequest, state: string, meta: unknown): void;
  /** What the running task says and hears beside its result. */
  correspond(request: TaskRequest): Correspondence;
}

/** What a run has said and heard so far; undefined where it has done neither. */
export let correspondenceOf: (context: TaskContext) => Correspondence | undefined;

/**
 * The context of one run of one task.
 *
 * @example
 * ```ts
 * import { task } from "../../mod.ts";
 *
 * export const count = task({ bind: true }, (ctx, upTo: number) => {
 *   for (let i = 1; i <= upTo; i++) ctx.updateState({ state: "PROGRESS", meta: { current: i, total: upTo } });
 *   return upTo;
 * });
 * ```
 */
export class TaskContext {
  readonly #request: TaskRequest;
  readonly #host: TaskHost;
  #correspondence: Correspondence | undefined;

  static {
    correspondenceOf = (context) => context.#correspondence;
  }

  /** Made by the isolate for each run. */
  constructor(request: TaskRequest, host: TaskHost) {
    this.#request = request;
    this.#host = host;
  }

  /** The task's id (Celery: `request.id`). */
  get id(): string {
    return this.#request.id;
  }
  /** The task's name on the wire. */
  get name(): string {
    return this.#request.task;
  }
  /** The positional arguments of the call. */
  get args(): readonly unknown[] {
    return this.#request.args;
  }
  /** The keyword arguments of the call. */
  get kwargs(): Readonly<Record<string, unknown>> {
    return this.#request.kwargs;
  }
  /** How often it was retried; 0 at first. */
  get retries(): number {
    return this.#request.retries;
  }
  /** The earliest start that the call asked for, or null. */
  get eta(): Date | null {
    return dateOrNull(this.#request.eta);
  }
  /** When the call expires, or null. */
  get expires(): Date | null {
    return dateOrNull(this.#request.expires);
  }
  /** The caller's own headers. */
  get headers(): Readonly<Record<string, unknown>> {
    return this.#request.headers;
  }
  /** The worker's node name, as `celery@host`. */
  get hostname(): string {
    return this.#host.hostname;
  }
  /** Where the message came from (Celery: `request.delivery_info`). */
  get deliveryInfo(): TaskDeliveryInfo {
    const { exchange, routingKey, priority, redelivered } = this.#request;
    return { exchange, routingKey, priority, redelivered };
  }
  /** Whether it may have run before, in part or whole: its worker died, or was taken for dead. */
  get redelivered(): boolean {
    return this.#request.redelivered;
  }
  /** The id of the first task of the workflow that this one belongs to. */
  get rootId(): string | null {
    return this.#request.rootId;
  }
  /** The id of the task that sent this one. */
  get parentId(): string | null {
    return this.#request.parentId;
  }
  /** The id of the group that this task is a part of. */
  get group(): string | null {
    return this.#request.group;
  }
  /** The queue that its caller reads replies from, if it named one. */
  get replyTo(): string | null {
    return this.#request.replyTo;
  }
  /** The correlation id of the message; the task's id, from Celery. */
  get correlationId(): string | null {
    return this.#request.correlationId;
  }
  /** False in a worker; true when the function was called directly, outside of one. */
  get isEager(): boolean {
    return this.#host.hostname === "";
  }
  /** Log lines that carry the task's name and id. `console.log` in a task does the same. */
  get log(): TaskLog {
    return this.#host.log;
  }

  /**
   * Stores a state of your own with its data (Celery: `update_state`); the caller sees it as `status` and `info`.
   * A later state, or the result, takes its place.
   */
  updateState(update: { state: string; meta?: unknown }): void {
    this.#host.storeState(this.#request, update.state, update.meta ?? null);
  }

  /**
   * Tells how far the task has come: `result.onProgress` hears of it, and it is stored as Celery's state PROGRESS. As often
   * as you like: between two that are stored lie 50 ms at least, and the last one counts.
   */
  progress(progress: TaskProgress): void {
    this.#beside.progress(progress);
  }

  /**
   * Sends a message to whoever reads this task's: `result.messages()` at its caller, a `Consumer` of its id, or
   * `celeriac listen`. Resolves when there is room for more, so await it where you send many. The task's result is not
   * stored before all its messages are; then their stream ends.
   *
   * @throws {UnserializableError} For what JSON can't carry.
   * @throws {ChannelFullError} When nobody has made room for `messages.patience` seconds; the task fails.
   */
  send(message: unknown): Promise<void> {
    return this.#beside.send(message);
  }

  /**
   * The messages that are sent to this task: by `result.send` at its caller, a `Producer` of its id with the direction
   * `"to-task"`, or `celeriac send`. They end when their sender says so; break off when you have heard enough.
   *
   * @param options A signal ends the waiting, with its reason.
   * @throws {ChannelTakenError} When another run of this task, or another consumer, has taken over.
   */
  messages<Message = unknown>(options: { readonly signal?: AbortSignal } = {}): AsyncIterable<Message> {
    return this.#beside.messages(options.signal) as AsyncIterable<Message>;
  }

  get #beside(): Correspondence {
    return this.#correspondence ??= this.#host.correspond(this.#request);
  }
}

/** Where a task's message came from. */
export interface TaskDeliveryInfo {
  /** `""` for the default exchange. */
  readonly exchange: string;
  /** The queue, on the default exchange. */
  readonly routingKey: string;
  /** As the caller gave it. */
  readonly priority: number;
  /** Whether an earlier delivery may have run. */
  readonly redelivered: boolean;
}

function dateOrNull(ms: number | null): Date | null {
  return ms === null ? null : new Date(ms);
}

// On a registered symbol, so that a second copy of the library in a task's own dependencies finds the same one.
const RUNNING = Symbol.for("celeriac.task.running");
const shared = globalThis as { [RUNNING]?: AsyncLocalStorage<TaskContext> };

/** The contexts of running tasks, each seen from inside its own run only. */
export const runningTask: AsyncLocalStorage<TaskContext> = shared[RUNNING] ??= new AsyncLocalStorage();

/**
 * The context of the task that runs here, or undefined outside of one.
 *
 * @example
 * ```ts
 * import { currentTask } from "../../mod.ts";
 *
 * export function whoAmI(): string {
 *   return currentTask()?.id ?? "not in a task";
 * }
 * ```
 */
export function currentTask(): TaskContext | undefined {
  return runningTask.getStore();
}
