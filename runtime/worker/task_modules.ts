/** The task modules of a worker: loaded before the way of a task begins, and again when their files change. */
import type { Clock } from "../clock.ts";
import { findModules, type ModuleFile, TaskModuleError } from "../isolate/load_modules.ts";
import { taskChanges, type TaskDescription } from "../isolate/task_definition.ts";
import { withResolvers } from "../platform.ts";
import { unconfined } from "./demand.ts";
import type { Notices } from "./notices.ts";
import type { Reloader } from "./reload.ts";
import type { CompleteOptions } from "./worker_options.ts";

/** The isolates that modules are loaded into. */
export interface ModuleLoader {
  start(modules: readonly ModuleFile[], isolates: number): Promise<readonly TaskDescription[]>;
  replaceModules(modules: readonly ModuleFile[], signal: AbortSignal): Promise<readonly TaskDescription[]>;
}

/** What is given to {@linkcode TaskModules}. */
export interface TaskModulesParts {
  readonly options: CompleteOptions;
  readonly clock: Clock;
  readonly loader: ModuleLoader;
  readonly notices: Notices;
}

/** Knows the tasks of a worker's modules. */
export class TaskModules {
  readonly #options: CompleteOptions;
  readonly #clock: Clock;
  readonly #loader: ModuleLoader;
  readonly #notices: Notices;
  /** With `reload`: modules that did not load at the start have been mended, or nobody waits for that any more. */
  readonly #mended: PromiseWithResolvers<void> = withResolvers();
  #reloader: Reloader | undefined;
  #tasks: ReadonlyMap<string, TaskDescription> = new Map();

  constructor({ options, clock, loader, notices }: TaskModulesParts) {
    this.#options = options;
    this.#clock = clock;
    this.#loader = loader;
    this.#notices = notices;
  }

  /** The tasks by name; a new map after each load. */
  get tasks(): ReadonlyMap<string, TaskDescription> {
    return this.#tasks;
  }

  /**
   * Finds the modules and, with `reload`, begins to watch them.
   *
   * @throws {TaskModuleError} When there are none.
   */
  async find(): Promise<readonly ModuleFile[]> {
    const { modules, prefix, isolates, reload } = this.#options;
    const files = await (reload ? this.#findAndWatch() : findModules(modules, { prefix }));
    if (files.length === 0 && isolates === undefined) {
      throw new TaskModuleError("no task modules: name them with -A, as in -A tasks/math.ts");
    }
    return files;
  }

  /**
   * Loads them into the first isolates. With `reload` it waits until modules that do not load have been mended.
   *
   * @throws {TaskModuleError} For modules that can't be used.
   */
  async load(files: readonly ModuleFile[]): Promise<void> {
    try {
      this.#know(await this.#loader.start(files, this.#options.concurrency));
    } catch (error) {
      if (this.#reloader === undefined || !(error instanceof TaskModuleError)) throw error;
      this.#notices.waitsForModules(error);
      await this.#mended.promise;
    }
  }

  /** Watches them no longer, and waits for none. */
  close(): void {
    this.#mended.resolve();
    this.#reloader?.close();
  }

  async #findAndWatch(): Promise<ModuleFile[]> {
    const { Reloader } = await import("./reload.ts");
    this.#reloader = new Reloader({
      patterns: this.#options.modules,
      prefix: this.#options.prefix,
      clock: this.#clock,
      load: (modules, changed, signal) => this.#reload(modules, changed, signal),
      failed: (error) => this.#notices.notReloaded(error),
    });
    return await this.#reloader.start();
  }

  async #reload(
    files: readonly ModuleFile[],
    changed: readonly string[],
    signal: AbortSignal,
  ): Promise<void> {
    const begun = this.#clock.monotonic();
    const before = [...this.#tasks.values()];
    const after = await this.#loader.replaceModules(files, signal);
    this.#know(after);
    this.#mended.resolve();
    this.#notices.reloaded(changed, taskChanges(before, after), this.#clock.monotonic() - begun);
  }

  #know(tasks: readonly TaskDescription[]): void {
    this.#tasks = new Map(tasks.map((task) => [task.name, task]));
    this.#notices.unsandboxed(unconfined(tasks, this.#options.settings));
  }
}
