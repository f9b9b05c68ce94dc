/**
 * Calls typed by a task module's own signatures, without loading its code: `app.module<typeof import(...)>(name)`.
 * The caller's side of **publish**.
 */
import type { AsyncResult } from "./async_result.ts";
import type { ApplyOptions } from "./call.ts";
import type { Heads, Signature, Tails } from "./signature.ts";

/** One task as its callers see it. */
export interface TaskCaller<Args extends unknown[], Result> {
  /** Sends the task (Celery: `delay`). */
  (...args: Args): AsyncResult<Awaited<Result>>;
  /** The same by Celery's name. */
  delay(...args: Args): AsyncResult<Awaited<Result>>;
  /** Sends it with options (Celery: `apply_async`). */
  applyAsync(options?: ApplyOptions<Args>): AsyncResult<Awaited<Result>>;
  /**
   * A call that is still to be made (Celery: `s`). In a chain the result of the step before comes first, so what is given
   * here are the last arguments.
   */
  s<Given extends Tails<Args>>(...given: Given): Signature<Heads<Args, Given>, Awaited<Result>>;
  /** The same with exactly these arguments, whatever comes before (Celery: `si`). */
  si(...args: Args): Signature<unknown[], Awaited<Result>>;
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
  sign: (task: string, args: readonly unknown[], immutable: boolean) => Signature<never[], never>,
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
          s: (...args: unknown[]) => sign(task, args, false) as never,
          si: (...args: unknown[]) => sign(task, args, true) as never,
        });
        callers.set(name, caller);
      }
      return caller;
    },
  }) as ModuleClient<Module>;
}
