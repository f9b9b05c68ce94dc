/**
 * For tests of code that uses tasks: an app, a broker and a worker in the test's own process, and a clock that the test
 * turns.
 *
 * @module
 */
import process from "node:process";
import { App, type AppOptions } from "./client/app.ts";
import { swapDefaultApp } from "./client/task.ts";
import type { Clock } from "./clock.ts";
import { FakeClock } from "./fake_clock.ts";
import { InProcessIsolate } from "./isolate/in_process.ts";
import { findModules, loadTasks } from "./isolate/load_modules.ts";
import { tasksOf } from "./isolate/task_definition.ts";
import { Worker } from "./worker/worker.ts";

/** What {@linkcode startTesting} is given. */
export interface TestingOptions {
  /** Files, folders and globs of task modules. They are loaded into the test's own process. */
  readonly modules?: readonly string[];
  /**
   * Tasks by the first part of their names, as `{ mail: { send: (to: string) => ... } }`. One that has the name of a task
   * in `modules` takes its place.
   */
  readonly tasks?: Readonly<Record<string, object>>;
  /** Settings of app and worker. The broker is in memory, and fresh. */
  readonly settings?: AppOptions;
  /** Tasks at once. Default 1000. */
  readonly slots?: number;
  /** What the clock shows at first. Default: the time it is. */
  readonly now?: Date;
}

/** A little world for one test: see {@linkcode startTesting}. */
export interface Testing extends AsyncDisposable {
  /** Sends tasks to the worker. Until the end it is also the app that `.delay()` sends through. */
  readonly app: App;
  /** Runs them. */
  readonly worker: Worker;
  /** Stands still but for {@linkcode Testing.advance}. Tasks themselves see the real time in `Date`. */
  readonly clock: Clock;
  /** Resolves when all that was called has run and is settled, but for what waits for its time. */
  idle(): Promise<void>;
  /**
   * Lets `seconds` pass: countdowns, ETAs and expiries come due in their order, and what is due is run. It does not wait
   * for tasks that wait themselves; {@linkcode Testing.idle} does.
   */
  advance(seconds: number): Promise<void>;
  /** Ends the worker, whatever runs, and closes the app. */
  close(): Promise<void>;
}

/** Turns after which waiting costs more than a little. */
const QUICK_TURNS = 100;

// As they are now: a test may replace them later.
const { setImmediate, setTimeout } = globalThis;

let brokers = 0;

/**
 * Starts an app, a broker in memory and a worker in this process. Tasks run here, not in isolates: they see the test's
 * variables, and a debugger stops in them.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { startTesting } from "../runtime/testing.ts";
 *
 * const sent: string[] = [];
 * const { app, advance, idle, close } = await startTesting({
 *   tasks: { mail: { send: (to: string) => sent.push(to) } },
 * });
 * app.sendTask("mail.send", ["Ada"]);
 * app.sendTask("mail.send", ["Grace"], {}, { countdown: 3600 });
 * await idle();
 * assert.deepEqual(sent, ["Ada"]);
 * await advance(3600);
 * assert.deepEqual(sent, ["Ada", "Grace"]);
 * await close();
 * ```
 *
 * @throws {TaskModuleError} For modules that can't be used.
 */
export async function startTesting(options: TestingOptions = {}): Promise<Testing> {
  const { modules = [], tasks: own = {}, slots = 1000, now = new Date() } = options;
  const clock = new FakeClock(now.getTime());
  const tasks = await loadTasks(await findModules(modules));
  for (const [module, exports] of Object.entries(own)) {
    const given = tasksOf(exports as Record<string, unknown>, { name: module, path: module });
    for (const task of given) tasks.set(task.name, task);
  }
  const app = new App({ ...options.settings, broker: `memory:testing-${process.pid}-${++brokers}`, clock });
  const worker = new Worker({
    settings: app.settings,
    modules: [],
    concurrency: 1,
    slots,
    hostname: "celery@testing",
    clock,
    isolates: (settings, listener, clock) => new InProcessIsolate(settings, tasks, listener, clock),
  });
  await worker.start();
  const before = swapDefaultApp(app);

  const isBusy = async () => {
    await app.flushed();
    if (worker.busy) return true;
    const lengths = await (await app.transport()).lengths();
    return worker.busy || lengths.some(({ ready }) => ready > 0);
  };
  const idle = async () => {
    // Twice in a row: what has just ended may have called others.
    for (let turns = 0, quiet = 0; quiet < 2; turns++) {
      quiet = await isBusy() ? 0 : quiet + 1;
      await new Promise<void>((resolve) =>
        turns < QUICK_TURNS ? setImmediate(resolve) : setTimeout(resolve, 1)
      );
    }
  };
  const close = async () => {
    const present = swapDefaultApp(before);
    // Another one was set meanwhile, and stays.
    if (present !== app) swapDefaultApp(present);
    await worker.kill();
    await app.disconnect();
  };
  return {
    app,
    worker,
    clock,
    idle,
    advance: (seconds) => clock.advance(seconds * 1000),
    close,
    [Symbol.asyncDispose]: close,
  };
}
