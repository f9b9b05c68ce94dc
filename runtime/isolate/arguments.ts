/** How a call's arguments become a function's: Python's rules where names are known. Just before **run**. */
import type { RegisteredTask } from "./task_definition.ts";

/** The call does not fit the function, as Python's `TypeError` says it. */
export class ArgumentsError extends TypeError {
  override readonly name = "TypeError";
}

/**
 * The positional arguments for a task's function. With `params` the keyword arguments fill them by name; without,
 * keyword arguments arrive as one last object.
 *
 * @throws {ArgumentsError} For an unknown, missing, doubled or surplus argument of a task with `params`.
 */
export function bindArguments(
  task: RegisteredTask,
  args: unknown[],
  kwargs: Record<string, unknown>,
): unknown[] {
  const names = Object.keys(kwargs);
  const { params } = task.options;
  if (params === undefined) return names.length === 0 ? args : [...args, kwargs];
  if (args.length > params.length) {
    throw new ArgumentsError(
      `${task.name}() takes ${count(params.length, "positional argument")} but ${args.length} ` +
        `${args.length === 1 ? "was" : "were"} given`,
    );
  }
  const bound = [...args];
  for (const name of names) {
    const position = params.indexOf(name);
    if (position < 0) throw new ArgumentsError(`${task.name}() got an unexpected keyword argument '${name}'`);
    if (position < args.length) {
      throw new ArgumentsError(`${task.name}() got multiple values for argument '${name}'`);
    }
    bound[position] = kwargs[name];
  }
  const missing = params.slice(0, required(task)).filter((name, i) =>
    i >= args.length && !Object.hasOwn(kwargs, name)
  );
  if (missing.length > 0) {
    throw new ArgumentsError(
      `${task.name}() missing ${count(missing.length, "required positional argument")}: ` +
        missing.map((name) => `'${name}'`).join(" and "),
    );
  }
  return bound;
}

/** A function's `length` counts the parameters before the first that has a default. */
function required(task: RegisteredTask): number {
  return task.run.length - (task.options.bind ? 1 : 0);
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}
