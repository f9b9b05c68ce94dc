/**
 * Task modules: which files `-A` names, what their tasks are called, and the loading of them. Stands before the way
 * of a task: the worker finds the files, each isolate loads them once.
 */
import process from "node:process";
import { basename, extname, isAbsolute, relative, resolve, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { embeddedModules } from "./embedded_modules.ts";
import { loadTrace } from "./load_error.ts";
import { endings, isModule, isSource, kindOf, meantBy, sourcesBelow } from "./module_files.ts";
import { exportsSchedule } from "./schedule_export.ts";
import { type RegisteredTask, tasksOf } from "./task_definition.ts";
import { wrongLimit } from "./time_limits.ts";

/** One task module, found but not loaded. */
export interface ModuleFile {
  /** What `import()` is given. */
  readonly url: string;
  /** As the user named it or relative to the working folder, for messages. */
  readonly path: string;
  /** The first part of its tasks' names. */
  readonly name: string;
}

/** One task module, loaded. */
export interface LoadedModule {
  readonly file: ModuleFile;
  readonly exports: Readonly<Record<string, unknown>>;
}

/** A task module that can't be used: not found, throws, has no tasks, or names a task twice. */
export class TaskModuleError extends Error {
  /** `"TaskModuleError"`. */
  override readonly name = "TaskModuleError";
}

/**
 * The modules that `-A` names. A file `tasks/math.ts` gives tasks `math.<export>`; a folder gives all sources below
 * it, named by their paths (`tasks/img/resize.ts` under `tasks` gives `img.resize.<export>`); a glob gives each source
 * it matches. `prefix` and a dot go in front of every name. Modules inside the executable come first, as they are.
 *
 * @throws {TaskModuleError} When a pattern names nothing.
 */
export async function findModules(
  patterns: readonly string[],
  options: { prefix?: string; cwd?: string } = {},
): Promise<ModuleFile[]> {
  const cwd = options.cwd ?? process.cwd();
  const front = options.prefix ? `${options.prefix}.` : "";
  const found = new Map<string, ModuleFile>();
  const add = (file: string, name: string) => {
    const shown = relative(cwd, file);
    const path = shown.startsWith("..") || isAbsolute(shown) ? file : shown;
    found.set(file, { url: pathToFileURL(file).href, path, name: front + name });
  };
  for (const pattern of patterns) {
    if (pattern === "") {
      throw new TaskModuleError(
        'a task module has the name "": name a file, folder or glob (a variable may be unset)',
      );
    }
    const path = resolve(cwd, pattern);
    const kind = await kindOf(path);
    if (kind?.isFile()) {
      if (!isModule(path)) {
        throw new TaskModuleError(`${pattern} is no task module: its name must end with ${endings}`);
      }
      add(path, stem(path));
    } else if (kind?.isDirectory()) {
      const files = await sourcesBelow(path).catch((cause) => {
        throw new TaskModuleError(`the folder ${pattern} can't be read: ${cause.message}`, { cause });
      });
      if (files.length === 0) {
        throw new TaskModuleError(
          `the folder ${pattern} has no task modules in it, files that end with ${endings}`,
        );
      }
      for (const file of files) add(file, dotted(relative(path, file)));
    } else {
      const { glob } = await import("tinyglobby");
      const ignore = pattern.includes("node_modules") ? [] : ["**/node_modules/**"];
      const files = (await glob(pattern, { cwd, absolute: true, ignore })).filter(isSource);
      if (files.length === 0) {
        const meant = await meantBy(pattern, cwd);
        throw new TaskModuleError(
          `no task module ${pattern}: there is no such file, folder, or match of a glob` +
            (meant === undefined ? "" : `; did you mean ${meant}?`),
        );
      }
      for (const file of files.sort()) add(resolve(file), stem(file));
    }
  }
  return [...embeddedModules(), ...found.values()];
}

/** Imports a module by its URL. */
export type ModuleLoader = (url: string) => Promise<Record<string, unknown>>;

const importModule: ModuleLoader = (url) => import(url);

/**
 * Loads modules and collects their tasks: every exported function, and the functions of a default export that is
 * an object. `loaded` is given what was loaded.
 *
 * @throws {TaskModuleError} For a module that throws or has no tasks, two tasks of one name, and limits that can't be.
 */
export async function loadTasks(
  modules: readonly ModuleFile[],
  load: ModuleLoader = importModule,
  loaded: LoadedModule[] = [],
): Promise<Map<string, RegisteredTask>> {
  const tasks = new Map<string, RegisteredTask>();
  for (const module of modules) {
    let exports: Record<string, unknown>;
    try {
      exports = await load(module.url);
    } catch (cause) {
      throw new TaskModuleError(`${module.path} does not load: ${loadTrace(cause, module.url)}`, { cause });
    }
    loaded.push({ file: module, exports });
    const own = tasksOf(exports, module);
    if (own.length === 0 && !exportsSchedule(exports)) {
      throw new TaskModuleError(
        `${module.path} has no tasks: export a function from it, or leave it out of -A`,
      );
    }
    for (const task of own) {
      const wrong = wrongLimit(task.options);
      if (wrong !== undefined) throw new TaskModuleError(`${task.name} of ${task.module}: ${wrong}`);
      const other = tasks.get(task.name);
      if (other !== undefined) {
        throw new TaskModuleError(
          `two tasks are called ${task.name}, one in ${other.module} and one in ${task.module}: ` +
            `rename one, give it a name with task({ name }, fn), or load one of them with --prefix`,
        );
      }
      tasks.set(task.name, task);
    }
  }
  return tasks;
}

function stem(file: string): string {
  return basename(file, extname(file));
}

function dotted(path: string): string {
  return path.slice(0, -extname(path).length).split(sep).join(".");
}
