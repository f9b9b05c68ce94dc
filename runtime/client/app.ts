/** The client: what **publishes** tasks and finds their results again. */
import { messagesUrl } from "../channel/options.ts";
import { type Clock, systemClock } from "../clock.ts";
import { readEnvironment } from "../config/environment.ts";
import { resolveSettings } from "../config/resolve.ts";
import type { GivenSettings, Settings } from "../config/settings.ts";
import { workerSettings } from "../config/surroundings.ts";
import { compileRoutes } from "../config/task_routes.ts";
import { currentTask } from "../isolate/task_context.ts";
import type { TaskFunction, TaskOptions } from "../isolate/task_definition.ts";
import type { SignatureJson } from "../protocol/signature.ts";
import { encodeTask } from "../protocol/task_message.ts";
import { uid } from "../protocol/uid.ts";
import { resultKey } from "../results/result_key.ts";
import type { ResultStore } from "../results/result_store.ts";
import type { Transport } from "../transport/transport.ts";
import { BadUrlError, maskUrl, schemeOf } from "../transport/url.ts";
import { callOf } from "../workflow/compose.ts";
import { WorkflowError } from "../workflow/plan.ts";
import { AsyncResult, type ResultSource } from "./async_result.ts";
import { type ApplyOptions, type CallOptions, completeCall } from "./call.ts";
import { Connections } from "./connections.ts";
import { Control } from "./control.ts";
import { DeadLetters } from "./dead_letters.ts";
import { Eager } from "./eager.ts";
import { Inspect } from "./inspect.ts";
import type { PartResult } from "./result_set.ts";
import { Messages } from "./messages.ts";
import { type ModuleClient, moduleClient } from "./module_client.ts";
import { Publisher, tellLost } from "./publisher.ts";
import { ResultWaiter } from "./result_waiter.ts";
import { SavedGroups, storedGroupTexts } from "./saved_groups.ts";
import { celeryOptions, Signature, type SignatureOptions, type SignatureSender } from "./signature.ts";
import { Timers, type TimersOptions } from "./timers.ts";
import { type WorkflowCall, WorkflowSender } from "./workflow_sender.ts";

/** What an app is made with: any setting, and two short names. */
export type AppOptions = GivenSettings & {
  /** The broker's URL; short for `brokerUrl`. Default: `CELERIAC_BROKER_URL`, else `sqlite:./celeriac.db`. */
  readonly broker?: string;
  /** The result store's URL; short for `resultBackend`. Default: the store that belongs to the broker. */
  readonly backend?: string;
  /** Runs tasks at once where they are called, for tests; short for `taskAlwaysEager`. Default false. */
  readonly alwaysEager?: boolean;
  /** Time, for tests. */
  readonly clock?: Clock;
  /** Randomness, for tests; as `Math.random`. */
  readonly random?: () => number;
};

/**
 * A client of one broker and one result store (Celery: `Celery`). It connects when first used; close it with
 * {@linkcode App.disconnect} or `await using`.
 *
 * @example
 * ```ts
 * import { App } from "../../mod.ts";
 *
 * const app = new App({ broker: "sqlite:./celeriac.db" });
 * const math = app.module<typeof import("../../tasks/math.ts")>("math");
 * console.log(await math.add(1, 2)); // 3
 * await app.disconnect();
 * ```
 */
export class App implements AsyncDisposable, SignatureSender {
  /** All settings, resolved. */
  readonly settings: Settings;
  /** Questions to the workers (Celery: `app.control.inspect()`). */
  readonly inspect: Inspect;
  /** Orders to the workers (Celery: `app.control`). */
  readonly control: Control;
  /** Messages that could not be run. */
  readonly dead: DeadLetters;
  /** Groups that were saved, see {@linkcode GroupResult.save} (Celery: `app.GroupResult`). */
  readonly GroupResult: SavedGroups;
  /** Timers that tasks have set by `ctx.callAfter` and the like. */
  readonly timers: Timers;
  readonly #clock: Clock;
  readonly #connections: Connections;
  readonly #route: ReturnType<typeof compileRoutes>;
  readonly #publisher: Publisher;
  readonly #waiter: ResultWaiter;
  readonly #source: ResultSource;
  readonly #eager: Eager | undefined;
  readonly #workflows: WorkflowSender;

  /**
   * Reads the settings; nothing is connected yet.
   *
   * @throws {SettingsError} For a setting that does not exist or has a value it can't have.
   * @throws {BadUrlError} Inside a task whose worker has a `memory:` broker, when it would use that one.
   */
  constructor(options: AppOptions = {}) {
    const { broker, backend, alwaysEager, clock = systemClock, random = Math.random, ...given } = options;
    const worker = workerSettings();
    this.settings = resolveSettings(
      // A worker has read it for its tasks, who may not even be permitted to.
      ...(worker.brokerUrl === undefined
        ? [{ from: "the environment", settings: readEnvironment().settings }]
        : []),
      { from: "the worker", settings: worker },
      {
        from: "new App()",
        settings: {
          ...given,
          ...(broker === undefined ? {} : { brokerUrl: broker }),
          ...(backend === undefined ? {} : { resultBackend: backend }),
          ...(alwaysEager === undefined ? {} : { taskAlwaysEager: alwaysEager }),
        },
      },
    );
    refuseMemoryInIsolate(this.settings);
    this.#clock = clock;
    const connections = this.#connections = new Connections(this.settings, clock, random);
    this.#route = compileRoutes(this.settings.taskRoutes);
    this.#publisher = new Publisher(() => connections.readyToSend(), clock, random);
    this.#waiter = new ResultWaiter(() => this.results());
    this.inspect = new Inspect(() => this.transport(), clock);
    this.dead = new DeadLetters(() => this.transport(), this.settings);
    this.control = new Control({
      clock,
      bounds: { seconds: this.settings.workerRevokeExpires, most: this.settings.workerRevokesMax },
      transport: () => this.transport(),
      results: () => this.results(),
    });
    this.#eager = this.settings.taskAlwaysEager ? new Eager(this.settings, clock) : undefined;
    this.timers = new Timers({
      clock,
      transport: () => this.transport(),
      revoke: (id, options) => this.#revokeTimer(id, options),
      own: this.#eager?.timers,
    });
    this.#source = this.#eager?.source ?? {
      keyOf: (id) => resultKey(connections.resultUrl, id),
      fetch: async (id) => (await (await this.results()).fetch([id]))[0],
      wait: (id, signal, published) => this.#waiter.wait(id, signal, published),
      listen: (id, listener) => this.#waiter.listen(id, listener),
      messages: new Messages(messagesUrl(this.settings), clock),
      forget: async (id) => await (await this.results()).forget([id]),
      groups: storedGroupTexts(() => this.results(), this.settings.resultExpires),
      revoke: async (ids, options) => void await this.control.revoke(ids, options),
      after: (ms, run) => {
        const handle = clock.after(ms, run);
        return () => clock.cancel(handle);
      },
    };
    this.GroupResult = new SavedGroups(this.#source);
    this.#workflows = new WorkflowSender({
      settings: this.settings,
      now: () => clock.now(),
      replyTo: connections.replyTo,
      source: this.#source,
      eager: this.#eager,
      route: this.#route,
      publish: (message) => this.#publisher.publish(message, this.settings.publishTimeout),
      begin: async (chords) => {
        const store = (await this.results()).chords;
        if (store === undefined) throw noChords(connections.resultUrl);
        await store.begin(chords);
      },
    });
  }

  /**
   * The tasks of a module, typed by its own signatures; the module itself is not loaded.
   *
   * @param name The first part of its tasks' names: `math` for `tasks/math.ts`.
   */
  module<Module>(name: string): ModuleClient<Module> {
    return moduleClient<Module>(
      name,
      (task, { args, kwargs, ...options }) =>
        this.sendTask(task, args, kwargs, options) as AsyncResult<never>,
      (task, args, immutable) => new Signature(callOf(task, args, {}, {}, immutable), () => this),
    );
  }

  /**
   * Sends a task by its name, in TypeScript or in Python (Celery: `send_task`). Calls made in one tick go out as one
   * batch.
   *
   * @returns At once; await it for the value.
   * @throws {UnserializableError} When an argument can't be written; names its path.
   */
  sendTask<Result = unknown>(
    name: string,
    args: readonly unknown[] = [],
    kwargs: Readonly<Record<string, unknown>> = {},
    options: CallOptions = {},
  ): AsyncResult<Result> {
    return recorded(this.#send<Result>(name, args, kwargs, options, {}));
  }

  /**
   * A call of a task that is still to be made, by the task's name, in TypeScript or in Python (Celery: `app.signature`). In a
   * chain the result of the step before comes in front of its arguments, unless it is `immutable`.
   *
   * @example
   * ```ts
   * import { App, chain } from "../../mod.ts";
   *
   * const app = new App({ broker: "redis://localhost" });
   * const report = chain(app.signature<string>("py.fetch", ["file.csv"]), app.signature("py.store"));
   * await report.delay();
   * await app.disconnect();
   * ```
   */
  signature<Result = unknown>(
    name: string,
    args: readonly unknown[] = [],
    kwargs: Readonly<Record<string, unknown>> = {},
    options: SignatureOptions & { readonly immutable?: boolean } = {},
  ): Signature<unknown[], Result> {
    const { immutable, ...others } = options;
    return new Signature(callOf(name, args, kwargs, celeryOptions(others), immutable), () => this);
  }

  /**
   * Sends what a signature begins with, and in its messages what follows.
   *
   * @internal Signatures call it: {@linkcode Signature.delay}, {@linkcode Signature.applyAsync}.
   */
  apply(
    signature: SignatureJson,
    call: WorkflowCall,
  ): PartResult {
    return recorded(this.#workflows.apply(signature, call));
  }

  /**
   * Sends a task whose own options are at hand; what the call says wins over them. Its name may come later. Its function
   * is for an app that runs tasks itself.
   */
  applyTask<Result>(
    name: string | Promise<string>,
    task: TaskOptions,
    options: ApplyOptions,
    run?: TaskFunction,
  ): AsyncResult<Result> {
    const { args = [], kwargs = {}, ...call } = options;
    if (typeof name === "string") return recorded(this.#send<Result>(name, args, kwargs, call, task, run));
    const taskId = call.taskId ?? uid();
    this.#eager?.expect(taskId);
    const published = name.then((name) =>
      this.#send(name, args, kwargs, { ...call, taskId }, task, run).published
    );
    const lost = (error: unknown) => tellLost(`Task [${taskId}]`, error);
    return recorded(new AsyncResult<Result>(taskId, this.#source, { task: undefined, published, lost }));
  }

  /**
   * Tells an app with `alwaysEager` the tasks of a module, so that it can run them by name; any other app needs it not,
   * and ignores it. Tasks called by `.delay()`, and those of the setting `include`, it finds itself.
   *
   * @param name The first part of the tasks' names: `math` for `tasks/math.ts`.
   * @param exports The module, as `await import("./tasks/math.ts")`, or an object of functions.
   */
  register(name: string, exports: object): void {
    this.#eager?.register(name, exports as Readonly<Record<string, unknown>>);
  }

  /** The result of a task that was sent before, by its id. */
  AsyncResult<Result = unknown>(id: string): AsyncResult<Result> {
    return new AsyncResult(id, this.#source);
  }

  /**
   * The connection to the broker, opened when first asked for.
   *
   * @internal
   * @throws {BrokerUnavailableError} When it cannot be reached within `publishTimeout`.
   */
  transport(): Promise<Transport> {
    return this.#connections.transport();
  }

  /**
   * The result store, opened when first asked for.
   *
   * @internal
   * @throws {BrokerUnavailableError} When it cannot be reached within `publishTimeout`.
   */
  results(): Promise<ResultStore> {
    return this.#connections.results();
  }

  /** Resolves when no call waits any more to be published. */
  async flushed(): Promise<void> {
    await this.#workflows.flushed();
    await this.#publisher.flushed();
  }

  /** Publishes what waits, ends the waiting for results, and closes all connections. */
  async disconnect(): Promise<void> {
    await this.flushed();
    this.#eager?.timers.clear();
    this.#connections.abort();
    await this.#waiter.close(new Error("the app was disconnected while a result was waited for"));
    await this.#source.messages.close();
    await this.#connections.close();
  }

  /** The same as {@linkcode App.disconnect}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.disconnect();
  }

  /** Whether it is known to be kept: by the broker or the result store, else by a worker, which says so. */
  async #revokeTimer(id: string, options: TimersOptions): Promise<boolean> {
    const answers = await this.control.revoke(id, { ...options, reply: true, limit: 1 });
    if (Object.keys(answers).length > 0) return true;
    return ((await this.transport()).revoked ?? (await this.results()).revoked) !== undefined;
  }

  #send<Result>(
    name: string,
    args: readonly unknown[],
    kwargs: Readonly<Record<string, unknown>>,
    options: CallOptions,
    task: TaskOptions,
    run?: TaskFunction,
  ): AsyncResult<Result> {
    const id = options.taskId ?? uid();
    // Nobody waits for a time that does not come.
    if (this.#eager !== undefined) options = { ...options, countdown: undefined, eta: undefined };
    const call = { id, task: name, args, kwargs };
    const route = this.#route(name, args, kwargs);
    const now = this.#clock.now();
    const { replyTo } = this.#connections;
    const message = encodeTask(completeCall(call, options, task, route, this.settings, now, replyTo));
    const timeout = options.retry === false ? 0 : options.publishTimeout ?? this.settings.publishTimeout;
    const own = run && { name, module: name, run, options: task };
    const published = this.#eager?.run(id, name, message, own) ?? this.#publisher.publish(message, timeout);
    const lost = (error: unknown) => tellLost(`Task ${name}[${id}]`, error);
    return new AsyncResult<Result>(id, this.#source, { task: name, published, lost });
  }
}

/** What a running task sends is one of its children: of several steps the first, which has the others as its own. */
function recorded<Sent extends PartResult>(sent: Sent): Sent {
  const parent = currentTask();
  if (parent === undefined) return sent;
  let first: PartResult = sent;
  while (first.parent !== undefined) first = first.parent;
  parent.addTrail(first);
  return sent;
}

/** A memory broker lives in one thread: an app in an isolate would wait for ever on one that nobody else sees. */
function refuseMemoryInIsolate({ brokerUrl }: Settings): void {
  const isWorkers = workerSettings().brokerUrl === brokerUrl;
  if (isWorkers && schemeOf(brokerUrl) === "memory") {
    throw new BadUrlError(
      `${brokerUrl} can't be reached from a task: tasks run in threads of their own; use sqlite:PATH or redis://`,
    );
  }
}

function noChords(url: string): WorkflowError {
  return new WorkflowError(
    `a chord, or a group with a step after it, needs a result store that can count its parts, and ${
      maskUrl(url)
    } is none`,
  );
}
