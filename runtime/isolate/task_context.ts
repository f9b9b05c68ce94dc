/**
 * What a running task knows of itself (Celery: `self.request` and the methods of a bound task). Belongs to **run**;
 * handed over by `bind: true`, or asked for from anywhere inside a run by {@linkcode currentTask}.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Following } from "../protocol/chord.ts";
import { Ignore, type Retry } from "../protocol/errors.ts";
import type { SignatureJson } from "../protocol/signature.ts";
import type { TaskRequest } from "../protocol/task_message.ts";
import type { Correspondence, TaskProgress } from "./correspondence.ts";
import type { PlannedRetry, RetryOptions } from "./retry.ts";
import { SoftLimit } from "./soft_limit.ts";
import type { AddedPart, CompleteSignature, TaskHost, TaskLog, TaskTimers } from "./task_host.ts";
import type { RunTimers, Timer, TimerCallback, TimerOptions } from "./timers.ts";

/** What has taken a task's place, and the error that ends its run. */
interface Replacement {
  readonly error: Ignore;
  readonly following: Following;
}

/** What a run has said and heard so far; undefined where it has done neither. */
export let correspondenceOf: (context: TaskContext) => Correspondence | undefined;
/** The retry that a run has asked for, the last one if there were several. */
export let retryOf: (context: TaskContext) => PlannedRetry | undefined;
/** The run is over but for its hooks: it sends, reads and retries no more. */
export let endContext: (context: TaskContext) => void;

/** Its function has returned or thrown. What it still does, nothing waits for. */
export let leaveContext: (context: TaskContext) => void;
/** Whether it has. */
export let isOver: (context: TaskContext) => boolean;

/** Results of what a run has sent, as Celery writes them; undefined where it has sent nothing. */
export let trailOf: (context: TaskContext) => readonly unknown[] | undefined;

/** What takes the place of a run that has ended with `error`; undefined where nothing does. */
export let replacementOf: (context: TaskContext, error: unknown) => Following | undefined;

/** Parts that a run has added to its chord; mostly none. */
export let additionsOf: (context: TaskContext) => readonly Following[];

/** The timers that a run has set; undefined where it has set none. */
export let timersOf: (context: TaskContext) => RunTimers | undefined;

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
  #softLimit: SoftLimit | undefined;
  readonly #text: string;
  #correspondence: Correspondence | undefined;
  #retry: PlannedRetry | undefined;
  #hasEnded = false;
  #isOver = false;
  #timers: RunTimers | undefined;
  #trail: unknown[] | undefined;
  #replacement: Replacement | undefined;
  #additions: readonly AddedPart[] = NONE;

  static {
    correspondenceOf = (context) => context.#correspondence;
    retryOf = (context) => context.#retry;
    endContext = (context) => void (context.#hasEnded = true);
    leaveContext = (context) => void (context.#isOver = true);
    isOver = (context) => context.#isOver;
    timersOf = (context) => context.#timers;
    trailOf = (context) => context.#trail;
    replacementOf = (context, error) =>
      context.#replacement?.error === error ? context.#replacement?.following : undefined;
    additionsOf = (context) => context.#additions;
  }

  /** Made by the isolate for each run; `text` is its message. */
  constructor(request: TaskRequest, host: TaskHost, softLimit?: SoftLimit, text = "") {
    this.#request = request;
    this.#host = host;
    this.#softLimit = softLimit;
    this.#text = text;
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
  /** The limits that the call gave it, in seconds (Celery: `request.timelimit`); those of the task stand in its options. */
  get timeLimits(): { readonly hard: number | null; readonly soft: number | null } {
    const [hard, soft] = this.#request.timeLimit;
    return { hard, soft };
  }
  /**
   * Aborts when the task's soft time limit is over, and for no other reason. Its reason is a
   * {@linkcode SoftTimeLimitExceeded}, fit to be thrown: hand the signal to what the task waits for, or ask `ctx.signal`
   * anew in a loop, as in `ctx.signal.throwIfAborted()`, which a loop that blocks its isolate can do, too.
   */
  get signal(): AbortSignal {
    return (this.#softLimit ??= new SoftLimit(Infinity)).signal;
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
  /** Its place in that group, from 0 (Celery: `request.group_index`). */
  get groupIndex(): number | null {
    return this.#request.groupIndex;
  }
  /** What is called when all parts of the chord that it is a part of have ended. */
  get chord(): SignatureJson | null {
    return this.#request.chord;
  }
  /** The steps that come after it in its chain, the last one first, as Celery sends them. */
  get chain(): readonly SignatureJson[] | null {
    return this.#request.chain;
  }
  /** What is called with its result. */
  get callbacks(): readonly SignatureJson[] | null {
    return this.#request.callbacks;
  }
  /** What is called when it fails. */
  get errbacks(): readonly SignatureJson[] | null {
    return this.#request.errbacks;
  }
  /** Its stamps, see {@linkcode Signature.stamp}. */
  get stamps(): Readonly<Record<string, unknown>> {
    return this.#request.stamps;
  }
  /** How often a task has been replaced until this one, see {@linkcode TaskContext.replace}; 0 mostly. */
  get replacedTaskNesting(): number {
    return this.#request.replacedTaskNesting;
  }
  /** Whether its caller wants no result. */
  get ignoreResult(): boolean {
    return this.#request.ignoreResult;
  }
  /** Another name that its caller has given it, for logs and monitors. */
  get shadow(): string | null {
    return this.#request.shadow;
  }
  /** Who has sent it, as `gen123@host`. */
  get origin(): string | null {
    return this.#request.origin;
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

  /**
   * Calls a task in so many seconds: it is published when it is due, for any worker to run. Nothing is waited for here;
   * {@linkcode Timer.cancel} or `timers.cancel(id)` takes it back. It waits in the memory of this worker and is lost
   * when that ends, unless it is `durable`.
   *
   * @param seconds 0 or more. Neither a clock that is set nor summer time changes them.
   * @param callback A task of this worker, or the name of any.
   * @throws {RangeError} For a time that is none.
   * @throws {TypeError} For a callback that is no task.
   * @throws {UnserializableError} For arguments that no message can carry.
   * @throws {TimerLimitError} When the worker holds as many as it may (`workerMaxTimers`) for certain; else see
   * {@linkcode Timer.held}.
   */
  callAfter<Args extends unknown[]>(
    seconds: number,
    callback: TimerCallback<Args>,
    args?: NoInfer<Args>,
    kwargs?: Readonly<Record<string, unknown>>,
    options?: TimerOptions,
  ): Timer {
    return this.#own.after(seconds, callback, args, kwargs, options);
  }

  /**
   * Calls a task at a time of the wall clock, as {@linkcode TaskContext.callAfter} does. Where that clock is set, the
   * timer goes by what it shows then; a time that has passed is due at once.
   *
   * @throws As {@linkcode TaskContext.callAfter}.
   */
  callAt<Args extends unknown[]>(
    date: Date,
    callback: TimerCallback<Args>,
    args?: NoInfer<Args>,
    kwargs?: Readonly<Record<string, unknown>>,
    options?: TimerOptions,
  ): Timer {
    return this.#own.at(date, callback, args, kwargs, options);
  }

  /**
   * Calls a task again and again, the first time in `every` seconds, until it is cancelled or the worker ends. Times that
   * go by while the machine sleeps are left out. What must survive the worker is a periodic task instead.
   *
   * @param every 0.001 seconds or more.
   * @throws As {@linkcode TaskContext.callAfter}.
   */
  callRepeatedly<Args extends unknown[]>(
    every: number,
    callback: TimerCallback<Args>,
    args?: NoInfer<Args>,
    kwargs?: Readonly<Record<string, unknown>>,
    options?: Omit<TimerOptions, "durable">,
  ): Timer {
    return this.#own.repeatedly(every, callback, args, kwargs, options);
  }

  /** Takes timers back by their ids. */
  get timers(): TaskTimers {
    return this.#own;
  }

  /**
   * Records that the task has sent another one: its result is among the `children` of this one's (Celery: `add_trail`). What
   * is sent through an app while the task runs is recorded by itself. At most 10,000 are.
   */
  addTrail(result: { asTuple(): unknown }): void {
    const trail = this.#trail ??= [];
    if (trail.length < LONGEST_TRAIL) trail.push(result.asTuple());
  }

  get #own(): RunTimers {
    return this.#timers ??= this.#host.timers(this.#request);
  }

  /**
   * Runs the task again later, instead of ending it: throws a {@linkcode Retry}, with or without `throw` in front. Its
   * message goes out again with the same id, `retries` one higher, when this run is settled; until then its state is
   * RETRY.
   *
   * @example
   * ```ts
   * import { task } from "../../mod.ts";
   *
   * export const fetchPage = task({ bind: true, maxRetries: 5 }, async (ctx, url: string) => {
   *   const response = await fetch(url);
   *   if (response.status === 503) throw ctx.retry({ countdown: 30, exc: new Error("the server is busy") });
   *   return await response.text();
   * });
   * ```
   *
   * @throws {Retry} Unless `throw` is false; then it is returned.
   * @throws `exc`, or {@linkcode MaxRetriesExceededError}, when it was retried as often as it may be.
   */
  retry(options: RetryOptions & { readonly throw: false }): Retry;
  /** As above. */
  retry(options?: RetryOptions): never;
  /** As above. */
  retry(options: RetryOptions = {}): Retry {
    this.#checkEnd();
    this.#retry = this.#host.retry(this.#request, this.#text, options);
    if (options.throw === false) return this.#retry.error;
    throw this.#retry.error;
  }

  /**
   * Lets a workflow take the task's place (Celery: `Task.replace`): it runs under the task's id, and whatever waits for the
   * task, or comes after it in a chain or a chord, gets the result of its last step; of a group the list of its results. Its
   * callbacks, stamps and place in the tree are handed on. Throws an {@linkcode Ignore} that ends the run; the workflow is
   * published when that is settled, and is not where a task catches it. Written with `return`, so that the task's type says
   * what comes of it.
   *
   * @example
   * ```ts
   * import { chain, task } from "../../mod.ts";
   *
   * export const halve = task({ bind: false }, (n: number) => n / 2);
   * export const quarter = task({ bind: true }, (ctx, n: number) => ctx.replace(chain(halve.s(n), halve.s())));
   * ```
   *
   * @throws {Ignore} Always, where there is no other error.
   * @throws {WorkflowError} For what can take no task's place: a part of another chord, a chain without steps.
   * @throws {UnserializableError} For arguments that no message can carry.
   */
  replace<Result>(signature: CompleteSignature<Result>): Result {
    this.#checkEnd();
    const json = signature.toJSON();
    const error = new Ignore(`is replaced by ${json.task}`);
    this.#replacement = { error, following: this.#host.replace(this.#request, json) };
    throw error;
  }

  /**
   * Adds a part to the chord that the task is a part of (Celery: `Task.add_to_chord`): the body waits for its result, too, and
   * gets it among the others, beside this task's. It is published when this run is settled, unless the task is to run
   * again: then its next run adds its own.
   *
   * @returns The id of its result. (Celery's `lazy` is not here: a signature that is to be sent later is added later.)
   * @throws {WorkflowError} When the task is no part of a chord, or `signature` is a group.
   * @throws {UnserializableError} For arguments that no message can carry.
   */
  addToChord(signature: CompleteSignature<unknown>): string {
    this.#checkEnd();
    const added = this.#host.addToChord(this.#request, signature.toJSON(), this.#additions.length);
    this.#additions = [...this.#additions, added];
    for (const child of added.children) this.addTrail({ asTuple: () => child });
    return added.id;
  }

  #checkEnd(): void {
    if (this.#hasEnded) {
      throw new Error(`the task ${this.id} has ended: its hooks send, read and retry nothing`);
    }
  }

  get #beside(): Correspondence {
    this.#checkEnd();
    return this.#correspondence ??= this.#host.correspond(this.#request);
  }
}

const NONE: readonly AddedPart[] = [];

/** A stored result names no more children than that. */
const LONGEST_TRAIL = 10_000;

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
