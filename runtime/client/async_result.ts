/** The result of a call, wherever it is still to come from: what a caller holds after **publish**. */
import { getLogger } from "@logtape/logtape";
import type { Consumer } from "../channel/consumer.ts";
import type { WaitOptions } from "../channel/outflow.ts";
import type { Producer } from "../channel/producer.ts";
import type { TaskProgress } from "../isolate/correspondence.ts";
import type { TaskError } from "../protocol/errors.ts";
import { type DecodedResult, decodeResult, isReady } from "../protocol/result_meta.ts";
import type { RevokeOptions } from "./control.ts";
import { type GetOptions, LONGEST_TIMER_MS, ResultTimeoutError } from "./get_options.ts";
import { ResultMessages } from "./result_messages.ts";
import type { GroupSource, PartResult } from "./result_set.ts";
import { drawTree, type GraphOptions } from "./result_tree.ts";
import { resultsOf, type ResultTuple } from "./result_tuple.ts";
import { collected, type CollectOptions, dependents, type DependentsOptions, leafOf } from "./result_walk.ts";

const log = getLogger(["celeriac", "client"]);

/** What a result asks of the app that it belongs to. */
export interface ResultSource extends GroupSource {
  /** Where the result stands in the store. */
  keyOf(id: string): string;
  /** What is stored now. */
  fetch(id: string): Promise<string | null>;
  /** The final state. Rejects, too, when `published` does: a call that was not published never has a result. */
  wait(id: string, signal?: AbortSignal, published?: Promise<void>): Promise<DecodedResult>;
  /** Tells of each state; the result takes it back. */
  listen(id: string, listener: (meta: DecodedResult) => void): () => void;
  /** The caller's ends of its messages. */
  readonly messages: {
    consumer(id: string): Consumer;
    done(consumer: Consumer): Promise<void>;
    producer(id: string): Producer;
    close(): Promise<void>;
  };
  forget(id: string): Promise<void>;
}

/**
 * A task's result: at once in the caller's hands, its value when the task has run. It can be awaited. (An `async`
 * function that returns it awaits it, by the language's rules: return its `id` instead.)
 *
 * @example
 * ```ts
 * import { App } from "../../mod.ts";
 *
 * const app = new App({ broker: "redis://localhost" });
 * const result = app.sendTask("math.add", [1, 2]);
 * console.log(result.id, await result.get({ timeout: 5 }));
 * await app.disconnect();
 * ```
 */
export class AsyncResult<Result = unknown> implements PromiseLike<Result> {
  /** The task's id. */
  readonly id: string;
  /** The task's name, where it is known here. */
  readonly taskName: string | undefined;
  readonly #source: ResultSource;
  readonly #published: Promise<void>;
  #looked = false;
  #meta: DecodedResult | undefined;
  #watched = false;
  #producer: Producer | undefined;
  readonly #parentOf: (() => PartResult) | undefined;
  #parent: PartResult | undefined;

  /** Made by {@linkcode App}; `lost` hears of a failed publication that nobody looked at. */
  constructor(
    id: string,
    source: ResultSource,
    call?: {
      task: string | undefined;
      published: Promise<void>;
      lost: (error: unknown) => void;
      parent?: () => PartResult;
    },
  ) {
    this.#parentOf = call?.parent;
    this.id = id;
    this.taskName = call?.task;
    this.#source = source;
    this.#published = call?.published ?? Promise.resolve();
    if (call) this.#published.catch((error) => this.#looked || call.lost(error));
  }

  /** Resolves when the broker has the task. Its failure is logged if nobody looks here or waits for the result. */
  get published(): Promise<void> {
    this.#looked = true;
    return this.#published;
  }

  /** Of the step before it in a chain; undefined for a first one, and where only the id is known. */
  get parent(): PartResult | undefined {
    return this.#parent ??= this.#parentOf?.();
  }

  /**
   * The results of what has followed it, once it has ended: what the task has called itself, its callbacks, the next step of
   * its chain. An id is all that is known of them.
   */
  get children(): Promise<PartResult[]> {
    return this.#now().then((meta) =>
      (meta?.children ?? []).flatMap((each) => resultsOf(each, this.#source))
    );
  }

  /** Its id and those of the steps before it, as Celery writes them (`as_tuple`). */
  asTuple(): ResultTuple {
    return [[this.id, this.parent?.asTuple() ?? null], null];
  }

  /**
   * The whole workflow as text, a line each (Celery: `graph`): from the first step that is known to lead here down to all that
   * has followed so far, each with its state and, once it has ended, its value or error. Names are known of what was called
   * here, and with the setting `resultExtended`.
   *
   * @throws {BrokerUnavailableError} When the store could not be reached.
   */
  graph(options?: GraphOptions): Promise<string> {
    return drawTree(this as AsyncResult<unknown>, options);
  }

  /**
   * The result itself and all that has followed it so far, each with the one that it has followed, level by level (Celery:
   * `iterdeps`): what the task has called, its callbacks, the next steps of its chain.
   *
   * @throws {IncompleteStream} At one that is not done yet: what follows it is not known. Unless `intermediate`.
   */
  iterdeps(options?: DependentsOptions): AsyncGenerator<[PartResult | undefined, PartResult], void> {
    return dependents(this as AsyncResult<unknown>, options);
  }

  /**
   * Waits for the result and for all that follows it, and gives each with its value as it comes to it (Celery: `collect`).
   *
   * @example
   * ```ts
   * import { App } from "../../mod.ts";
   *
   * const app = new App({ broker: "redis://localhost" });
   * const crawl = app.sendTask("web.crawl", ["https://example.com"]); // a task that calls others
   * for await (const [result, value] of crawl.collect()) console.log(result.id, value);
   * await app.disconnect();
   * ```
   *
   * @throws The error of one that failed, unless `propagate` is false: then it stands in the place of the value.
   */
  collect(options?: CollectOptions): AsyncGenerator<[PartResult, unknown], void> {
    return collected(this as AsyncResult<unknown>, options);
  }

  /** Waits as {@linkcode AsyncResult.collect} does; the value of the last one that follows (Celery: `get_leaf`). */
  getLeaf(options?: CollectOptions): Promise<unknown> {
    return leafOf(this as AsyncResult<unknown>, options);
  }

  /** Where it comes from. @internal */
  get source(): GroupSource {
    return this.#source;
  }

  /** The store's key of the result (`celery-task-meta-ID`). */
  get key(): string {
    return this.#source.keyOf(this.id);
  }

  /**
   * The value once it has arrived, or the error of a task that failed; undefined until then. The first look begins to
   * wait for it in the background.
   */
  get returnValue(): Result | TaskError | undefined {
    if (!this.#watched) {
      this.#watched = true;
      this.#final().catch(() => {});
    }
    return this.#ready?.result as Result | TaskError | undefined;
  }

  /** The state now: PENDING (nothing known), STARTED, SUCCESS, FAILURE, or one of the task's own. */
  get status(): Promise<string> {
    return this.#now().then((meta) => meta?.status ?? "PENDING");
  }

  /** Celery's other name for {@linkcode AsyncResult.status}. */
  get state(): Promise<string> {
    return this.status;
  }

  /** What is stored with the state: the value, the error ({@linkcode TaskError}), or a task's own data. */
  get info(): Promise<unknown> {
    return this.#now().then((meta) => meta?.result);
  }

  /** The trace of a failed task, or null. */
  get traceback(): Promise<string | null> {
    return this.#now().then((meta) => meta?.traceback ?? null);
  }

  /** When the task was done, or null. */
  get dateDone(): Promise<Date | null> {
    return this.#now().then((meta) => meta?.dateDone ?? null);
  }

  /** Whether the task has come to its end. */
  async ready(): Promise<boolean> {
    return isReady(await this.status);
  }

  /** Whether it ended well. */
  async successful(): Promise<boolean> {
    return await this.status === "SUCCESS";
  }

  /** Whether it failed. */
  async failed(): Promise<boolean> {
    return await this.status === "FAILURE";
  }

  /** All that is stored of the task, or null. */
  async meta(): Promise<DecodedResult | null> {
    return await this.#now() ?? null;
  }

  /**
   * The task's value, when it has run.
   *
   * @throws {TaskError} When the task failed, expired or was revoked.
   * @throws {ResultTimeoutError} When `timeout` passed.
   * @throws {BrokerUnavailableError} When the broker or the store could not be reached.
   */
  get(options?: GetOptions & { readonly propagate?: true }): Promise<Result>;
  /** The task's value or, when it failed, its error, not thrown. */
  get(options: GetOptions): Promise<Result | TaskError>;
  async get(options: GetOptions = {}): Promise<Result | TaskError> {
    const { status, result } = this.#ready ?? await this.#awaited(options);
    // What is stored of a state without a value is an error.
    if (status !== "SUCCESS" && options.propagate !== false) throw result;
    return result as Result | TaskError;
  }

  /**
   * Lets the task not run any more: one that has not started is dropped, with `terminate` one that runs is ended, too. Its
   * result is then a `TaskRevokedError`; of a delayed task when its time has come.
   *
   * @throws {BrokerUnavailableError} When workers can't be told.
   */
  async revoke(options?: RevokeOptions): Promise<void> {
    await this.#published.catch(() => {});
    await this.#source.revoke([this.id], options);
  }

  /** Deletes what is stored of the task. */
  async forget(): Promise<void> {
    this.#meta = undefined;
    await this.#source.forget(this.id);
  }

  /**
   * What the task sends (`ctx.send`), in order, until it has ended and all of it is read; `await` the result itself to
   * know how it ended. One reader at a time: another loop, here or elsewhere, takes over.
   *
   * @param options A signal ends the loop, with its reason.
   * @throws {ChannelTakenError} When another reader has taken over.
   * @throws {BrokerUnavailableError} When the task could not be published, or its messages not be reached.
   */
  messages<Message = unknown>(
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncIterableIterator<Message, undefined> {
    const { messages } = this.#source;
    const consumer = messages.consumer(this.id) as Consumer<Message>;
    return new ResultMessages<Message>({
      consumer,
      ended: (signal) => this.#final(signal),
      close: () => messages.done(consumer),
      signal: options.signal,
    });
  }

  /**
   * Sends a message to the task, which reads it by `ctx.messages()`, also before it runs. Resolves when it is stored.
   *
   * @throws {UnserializableError}
   * @throws {ChannelFullError} When the task has not made room for it in time.
   * @throws {BrokerUnavailableError}
   */
  send(message: unknown, options?: WaitOptions): Promise<void> {
    return this.#sender.sendMessage(message, options);
  }

  /** Says that no more messages follow: `for await` over `ctx.messages()` ends. */
  sendEnd(options?: WaitOptions): Promise<void> {
    return this.#sender.end(options);
  }

  /**
   * Tells how far the task has come: by `ctx.progress`, or by Celery's `update_state(state="PROGRESS", meta=...)`.
   *
   * @param listener Gets what was stored last, too. What it throws is logged.
   * @returns Ends the telling, which ends with the task as well.
   */
  onProgress<Progress = TaskProgress>(listener: (progress: Progress) => void): () => void {
    return this.#source.listen(this.id, ({ status, result }) => {
      if (status !== "PROGRESS") return;
      try {
        listener(result as Progress);
      } catch (error) {
        log.error(`The listener for the progress of ${this.id} threw: ${error}`);
      }
    });
  }

  /** Makes `await result` the same as `await result.get()`. */
  then<Value = Result, Reason = never>(
    fulfilled?: ((value: Result) => Value | PromiseLike<Value>) | null,
    rejected?: ((reason: unknown) => Reason | PromiseLike<Reason>) | null,
  ): Promise<Value | Reason> {
    return this.get().then(fulfilled, rejected);
  }

  get #sender(): Producer {
    return this.#producer ??= this.#source.messages.producer(this.id);
  }

  get #ready(): DecodedResult | undefined {
    return this.#meta !== undefined && isReady(this.#meta.status) ? this.#meta : undefined;
  }

  #awaited({ timeout, signal }: GetOptions): Promise<DecodedResult> {
    return timeout === undefined || timeout === Infinity
      ? this.#final(signal)
      : this.#within(timeout, signal);
  }

  async #within(timeout: number, signal?: AbortSignal): Promise<DecodedResult> {
    const limit = new AbortController();
    const what = this.taskName === undefined ? this.id : `${this.taskName}[${this.id}]`;
    const cancel = this.#source.after(
      Math.min(timeout * 1000, LONGEST_TIMER_MS),
      () => limit.abort(new ResultTimeoutError(`no result of ${what} after ${timeout} s`)),
    );
    try {
      return await this.#final(signal ? AbortSignal.any([signal, limit.signal]) : limit.signal);
    } finally {
      cancel();
    }
  }

  #final(signal?: AbortSignal): Promise<DecodedResult> {
    this.#looked = true;
    return this.#source.wait(this.id, signal, this.#published).then((meta) => this.#meta = meta);
  }

  async #now(): Promise<DecodedResult | undefined> {
    if (this.#ready !== undefined) return this.#ready;
    const text = await this.#source.fetch(this.id);
    return this.#meta = text === null ? undefined : decodeResult(text);
  }
}
