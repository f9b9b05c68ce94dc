/**
 * Error callbacks (Celery: `link_error`) in their two forms: a task of this isolate that takes more than one argument is
 * called there and then, with the failed task, its error and its trace; any other is sent as a task, with the id of the
 * failed one. After **run**, before the outcome is settled.
 */
import type { SignatureJson } from "../protocol/signature.ts";
import type { TaskContext } from "./task_context.ts";
import { isThenable } from "./task_hooks.ts";
import type { RegisteredTask } from "./task_definition.ts";

/** An error callback, and the task of this isolate that it is. */
export interface CalledErrback {
  readonly signature: SignatureJson;
  readonly task: RegisteredTask;
}

/** Whether it is called where the task has failed. */
export function isCalledHere({ run, options }: RegisteredTask): boolean {
  return options.bind !== true && (options.params?.length ?? run.length) > 1;
}

/**
 * Calls error callbacks one after another. Gives a promise, which never rejects, where one of them has to be waited for.
 *
 * @param failed Told of each one that threw.
 */
export function callErrbacks(
  errbacks: readonly CalledErrback[],
  context: TaskContext,
  error: unknown,
  traceback: string | null,
  failed: (task: string, error: unknown) => void,
): Promise<void> | undefined {
  let before: Promise<void> | undefined;
  for (const { signature, task } of errbacks) {
    const call = (): Promise<void> | undefined => {
      try {
        const { immutable, args } = signature;
        const value = task.run(...(immutable ? args : [context, error, traceback, ...args]));
        if (!isThenable(value)) return undefined;
        return Promise.resolve(value).then(() => {}, (error) => failed(task.name, error));
      } catch (error) {
        return void failed(task.name, error);
      }
    };
    before = before === undefined ? call() : before.then(call);
  }
  return before;
}
