/** What a worker is started with, and what it hands on to its isolates. Before the way of a task begins. */
import { availableParallelism, hostname } from "node:os";
import process from "node:process";
import { type Clock, systemClock } from "../clock.ts";
import { readEnvironment } from "../config/environment.ts";
import { resolveSettings } from "../config/resolve.ts";
import type { Settings } from "../config/settings.ts";
import { settingsForIsolates } from "../config/surroundings.ts";
import {
  type Isolate,
  type IsolateListener,
  type IsolateSettings,
  taskDefaults,
} from "../isolate/isolate.ts";
import { confinesIsolates, requireIsolates, UnsupportedRuntimeError } from "../platform.ts";
import { unenforced } from "./demand.ts";

/** How an isolate is made that is not started yet. */
export type IsolateMaker = (settings: IsolateSettings, listener: IsolateListener, clock: Clock) => Isolate;

/** What a worker is started with. */
export interface WorkerOptions {
  /** Files, folders and globs of task modules, beside those of the setting `include`. */
  readonly modules: readonly string[];
  /** The app's settings. Default: those of `new App()`. */
  readonly settings?: Settings;
  /** Put in front of the names of tasks, with a dot. Default: nothing. */
  readonly prefix?: string;
  /** Default: the setting `taskQueues`, else `taskDefaultQueue` alone. */
  readonly queues?: readonly string[];
  /** Isolates. Default: the setting `workerConcurrency`, else one a core. */
  readonly concurrency?: number;
  /** Tasks at once in each isolate. Default: the setting `workerSlots`. */
  readonly slots?: number;
  /** Node name. Default `celery@` and the host's name. */
  readonly hostname?: string;
  /** Ends when the queues hold nothing ready and all it took is settled. Default false. */
  readonly drain?: boolean;
  /**
   * Seconds that a stop lets run what runs; then its isolates are ended, and that runs again elsewhere. Default: as long
   * as it takes.
   */
  readonly grace?: number;
  /**
   * For development: loads the modules anew, into new isolates, whenever they or what they import have changed. What
   * runs, runs to its end with the old code. Default false.
   */
  readonly reload?: boolean;
  /** Logs each task's success. Default false. */
  readonly logSuccess?: boolean;
  /**
   * Makes its isolates, whatever the modules. Default: Web Workers.
   *
   * @internal
   */
  readonly isolates?: IsolateMaker;
  /** Time, for tests. */
  readonly clock?: Clock;
  /** Randomness, for tests; as `Math.random`. */
  readonly random?: () => number;
}

/** The options with their defaults filled in. */
export type CompleteOptions =
  & Required<Omit<WorkerOptions, "prefix" | "isolates">>
  & Pick<WorkerOptions, "prefix" | "isolates">;

/**
 * Fills the defaults in.
 *
 * @throws {SettingsError} When the environment says what can't be.
 * @throws {UnsupportedRuntimeError} On Node, and for a sandbox on Bun, unless `isolates` makes other ones.
 */
export function completeOptions(options: WorkerOptions): CompleteOptions {
  if (options.isolates === undefined) requireIsolates();
  const settings = options.settings ??
    resolveSettings({ from: "the environment", settings: readEnvironment().settings });
  const isEnforced = !settings.workerSandbox || confinesIsolates || options.isolates !== undefined;
  if (!isEnforced && !settings.workerAllowUnsandboxed) {
    throw new UnsupportedRuntimeError(unenforced("the worker is to run its tasks in a sandbox (--sandbox)"));
  }
  return {
    queues: settings.taskQueues ?? [settings.taskDefaultQueue],
    concurrency: settings.workerConcurrency ?? availableParallelism(),
    slots: settings.workerSlots,
    hostname: `celery@${hostname()}`,
    drain: false,
    grace: Infinity,
    reload: false,
    logSuccess: false,
    clock: systemClock,
    random: Math.random,
    ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)),
    settings,
    modules: [...settings.include, ...options.modules],
  };
}

/** What each isolate of a worker is told; the modules are found later. */
export function isolateSettings(options: CompleteOptions): Omit<IsolateSettings, "modules"> {
  const { settings, slots, hostname, logSuccess } = options;
  return {
    slots,
    hostname,
    pid: process.pid,
    logSuccess,
    client: settingsForIsolates(settings),
    defaults: taskDefaults(settings),
    lifetime: { tasks: settings.workerMaxTasksPerIsolate, memory: settings.workerMaxMemoryPerIsolate },
  };
}
