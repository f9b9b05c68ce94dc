/** Functions as tasks: `task(options, fn)`. Called they run here; `.delay()` **publishes** them. */
import { END } from "../channel/channel.ts";
import { Correspondence } from "../isolate/correspondence.ts";
import {
  type BoundFunction,
  type MarkedFunction,
  TASK_FUNCTION,
  TASK_NAME,
  TASK_OPTIONS,
  type TaskFunction,
  type TaskOptions,
} from "../isolate/task_definition.ts";
import { runningTask, TaskContext } from "../isolate/task_context.ts";
import type { TaskHost } from "../isolate/task_host.ts";
import { Retry } from "../protocol/errors.ts";
import type { TaskRequest } from "../protocol/task_message.ts";
import { uid } from "../protocol/uid.ts";
import { callOf } from "../workflow/compose.ts";
import { App } from "./app.ts";
import type { AsyncResult } from "./async_result.ts";
import type { ApplyOptions } from "./call.ts";
import { knowTask } from "./known_tasks.ts";
import { type Heads, Signature, type Tails } from "./signature.ts";
import { callingPlace, declaredName, exportedName } from "./task_name.ts";

/** A function that is a task, too. */
export interface Task<Args extends unknown[], Result> {
  /** Runs it here and now, as a plain function. */
  (...args: Args): Result;
  /** Its options. */
  readonly options: TaskOptions;
  /** Sends it to a worker through the default app, see {@linkcode setDefaultApp}. */
  delay(...args: Args): AsyncResult<Awaited<Result>>;
  /** The same with options for this call. */
  applyAsync(options?: ApplyOptions<Args>): AsyncResult<Awaited<Result>>;
  /**
   * A call that is still to be made (Celery: `s`), through the default app. In a chain the result of the step before comes
   * first, so what is given here are the last arguments.
   *
   * @throws {TypeError} When the task's name can't be told at once: give it one by its option `name`.
   */
  s<Given extends Tails<Args>>(...given: Given): Signature<Heads<Args, Given>, Awaited<Result>>;
  /** The same with exactly these arguments, whatever comes before (Celery: `si`). */
  si(...args: Args): Signature<unknown[], Awaited<Result>>;
}

/**
 * Makes a function a task. A worker that loads its module runs it as `<module>.<export>`, or by `name`. A client can't
 * know what a worker puts in front, for a folder below that of `-A` or by `--prefix`: such a task needs its `name`.
 *
 * @example
 * ```ts
 * import { task } from "../../mod.ts";
 *
 * export const add = task({ params: ["x", "y"], resultExpires: 500 }, (x: number, y: number) => x + y);
 *
 * add(1, 2); // 3, here
 * ```
 */
export function task<Args extends unknown[], Result>(fn: (...args: Args) => Result): Task<Args, Result>;
/** Makes a function a task that is handed its context as first argument. */
export function task<Args extends unknown[], Result>(
  options: TaskOptions & { readonly bind: true },
  fn: BoundFunction<Args, Result>,
): Task<Args, Result>;
/** Makes a function a task with options. */
export function task<Args extends unknown[], Result>(
  options: TaskOptions & { readonly bind?: false },
  fn: (...args: Args) => Result,
): Task<Args, Result>;
/** What the signatures above come down to. */
export function task(...given: unknown[]): Task<unknown[], unknown> {
  const [options, fn] = given.length === 1 ? [{}, given[0]] : given as [TaskOptions, unknown];
  if (typeof fn !== "function") {
    throw new TypeError(`task() takes a function, or options and a function; it was given ${typeof fn}`);
  }
  const run = fn as TaskFunction;
  const direct = (...args: unknown[]) => options.bind ? runHere(options, run, args) : run(...args);
  const place = callingPlace(import.meta.url);
  let name: string | Promise<string> | undefined = options.name;
  const send = (apply: ApplyOptions) => {
    name ??= (marked as MarkedFunction)[TASK_NAME] ?? (place && declaredName(place));
    name ??= exportedName(marked, place?.file).then((found) => name = found);
    return defaultApp().applyTask(name, options, apply, run);
  };
  const sign = (args: unknown[], immutable: boolean) => {
    const known = options.name ?? (marked as MarkedFunction)[TASK_NAME] ?? (place && declaredName(place));
    if (known === undefined) {
      throw new TypeError(
        "a signature needs the task's name, which can't be told here: give it one with task({ name }, fn)",
      );
    }
    knowTask(known, { options, run });
    return new Signature<never[], never>(callOf(known, args, {}, {}, immutable), defaultApp);
  };
  const marked: Task<unknown[], unknown> = Object.assign(direct, {
    options,
    delay: (...args: unknown[]) => send({ args }),
    applyAsync: (apply: ApplyOptions = {}) => send(apply),
    s: (...args: unknown[]) => sign(args, false) as never,
    si: (...args: unknown[]) => sign(args, true) as never,
    [TASK_OPTIONS]: options,
    [TASK_FUNCTION]: run,
  });
  return marked;
}

/** A bound task called as a plain function: its context has no worker around it. */
function runHere(options: TaskOptions, run: TaskFunction, args: unknown[]): unknown {
  const context = new TaskContext(callHere(options.name ?? run.name, args), here);
  return runningTask.run(context, run, context, ...args);
}

const here: TaskHost = {
  hostname: "",
  log: { debug: console.debug, info: console.info, warning: console.warn, error: console.error },
  storeState: () => {},
  correspond: ({ id }) => correspondAlone(id),
  timers: ({ task }) => {
    throw new Error(
      `${task} was called as a plain function: its timers need a worker, or an app with alwaysEager that sends it`,
    );
  },
  replace: ({ task }) => nobodySends(task),
  addToChord: ({ task }) => nobodySends(task),
  retry: (_request, _text, { exc }) => {
    // As in Celery: without a worker there is nobody who would run it again.
    throw exc ?? new Retry("the task asks to be retried, but no worker runs it");
  },
};

function nobodySends(task: string): never {
  throw new Error(
    `${task} was called as a plain function: to send what is to run in its place it needs a worker, or an app with ` +
      "alwaysEager that sends it",
  );
}

/** Nobody reads what a task sends that has no worker around it, and nobody sends it anything. */
function correspondAlone(id: string): Correspondence {
  const alone = new Correspondence({
    run: 0,
    id,
    limits: { maxMessages: Infinity, whenFull: "wait", patience: Infinity, ttl: 0 },
    post: ({ kind, run }) => {
      if (kind === "send") queueMicrotask(() => alone.hear({ kind: "stored", run }));
      if (kind === "take") queueMicrotask(() => alone.hear({ kind: "texts", run, texts: [END] }));
    },
    storeProgress: () => {},
    progressEvery: 0,
  });
  return alone;
}

function callHere(task: string, args: unknown[]): TaskRequest {
  const id = uid();
  return {
    id,
    task,
    args,
    kwargs: {},
    eta: null,
    expires: null,
    retries: 0,
    timeLimit: [null, null],
    rootId: id,
    parentId: null,
    group: null,
    groupIndex: null,
    replyTo: null,
    correlationId: id,
    ignoreResult: true,
    shadow: null,
    origin: null,
    redelivered: false,
    deliveries: 0,
    priority: 0,
    headers: {},
    stamps: {},
    stampedHeaders: null,
    routingKey: "",
    exchange: "",
    callbacks: null,
    errbacks: null,
    chain: null,
    chord: null,
    replacedTaskNesting: 0,
    protocol: 2,
  };
}

let app: App | undefined;

/** For a while another default app, or none; returns the one before. */
export function swapDefaultApp(chosen: App | undefined): App | undefined {
  const before = app;
  app = chosen;
  return before;
}

/** The app that `.delay()` sends through; without one set it is made of the environment when first needed. */
export function defaultApp(): App {
  return app ??= new App();
}

/** Sets the app that `.delay()` and `.applyAsync()` of tasks send through. */
export function setDefaultApp(chosen: App): void {
  app = chosen;
}
