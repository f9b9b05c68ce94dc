/**
 * Calls typed by a task module's own signatures, without loading its code: `app.module<typeof import(...)>(name)`.
 * The caller's side of **publish**.
 */
import type { AsyncResult } from "./async_result.ts";
import type { ApplyOptions } from "./call.ts";

/** One task as its callers see it. */
export interface TaskCaller<Args extends unknown[], Result> {
  /** Sends the task (Celery: `delay`). */
  (...args: Args): AsyncResult<Awaited<Result>>;
  /** The same by Celery's name. */
  delay(...args: Args): AsyncResult<Awaited<Result>>;
  /** Sends it with options (Celery: `apply_async`). */
  applyAsync(options?: ApplyOptions<Args>): AsyncResult<Awaited<Result>>;
}

/** The tasks of a module: all its exported functions. */
export type ModuleClient<Module> = {
  readonly [
    Name in keyof Module as Module[Name] extends (...args: never[]) => unknown ? Name : never
  ]: Module[Name] extends (...args: infer Args) => infer Result ? TaskCaller<Args, Result> : never;
};

/** Makes the client of a module whose tasks are called `<module>.<export>`. */
export function moduleClient<Module>(
  module: string,
  send: (task: string, options: ApplyOptions) => AsyncResult<never>,
): ModuleClient<Module> {
  const callers = new Map<string, TaskCaller<unknown[], never>>();
  return new Proxy({}, {
    get(_, name) {
      // `then` would make the client look like a promise to `await`.
      if (typeof name !== "string" || name === "then") return undefined;
      let caller = callers.get(name);
      if (caller === undefined) {
        const task = `${module}.${name}`;
        const delay = (...args: unknown[]) => send(task, { args });
        caller = Object.assign(delay, {
          delay,
          applyAsync: (options: ApplyOptions = {}) => send(task, options),
        });
        callers.set(name, caller);
      }
      return caller;
    },
  }) as ModuleClient<Module>;
}
