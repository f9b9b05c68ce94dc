/**
 * Tasks that every worker has, under the names that Celery keeps for itself: those that call another task many times, and
 * those that workflows are made of. Just before **run**.
 */
import { readSignature } from "../protocol/signature.ts";
import { TaskError } from "../protocol/errors.ts";
import { WorkflowError } from "../workflow/plan.ts";
import { bindArguments } from "./arguments.ts";
import { currentTask } from "./task_context.ts";
import type { RegisteredTask, TaskFunction, TaskOptions } from "./task_definition.ts";
import { isThenable } from "./task_hooks.ts";

/** The module of reserved tasks. */
const MODULE = "celeriac";

/** Their names. */
const NAMES: ReadonlySet<string> = new Set(
  "map starmap chunks accumulate backend_cleanup chain group chord chord_unlock".split(" ").map((name) =>
    `celery.${name}`
  ),
);

/** Whether every isolate has a task of that name. */
export function isReserved(task: string): boolean {
  return NAMES.has(task);
}

/**
 * The reserved tasks of an isolate.
 *
 * @param find Gives a task that runs in this isolate, or throws.
 */
export function reservedTasks(find: (name: string) => RegisteredTask): ReadonlyMap<string, RegisteredTask> {
  const taskOf = (signature: unknown) => find(readSignature(signature).task);
  const tasks: [string, TaskFunction, TaskOptions][] = [
    [
      "celery.map",
      (task, it) => callEach(taskOf(task), listOf(it), (item) => [item]),
      { params: ["task", "it"] },
    ],
    ["celery.starmap", (task, it) => callEach(taskOf(task), listOf(it), listOf), { params: ["task", "it"] }],
    ["celery.chunks", (task, it, n) => callChunks(taskOf(task), listOf(it), n as number), {
      params: ["task", "it", "n"],
    }],
    ["celery.accumulate", accumulate, {}],
    // Stores drop by themselves what has expired.
    ["celery.backend_cleanup", () => null, {}],
    ["celery.chain", () => refuse("a chain is no task: its steps are"), {}],
    ["celery.group", () => refuse("a group is no task: its parts are"), {}],
    ["celery.chord", startChord, { params: ["header", "body", "partial_args", ...IGNORED] }],
    ["celery.chord_unlock", () => refuse(UNLOCK), {}],
  ];
  return new Map(tasks.map(([name, run, options]) => [name, { name, module: MODULE, run, options }]));
}

/** What Celery's task of that name takes beside these, for how it polls. */
const IGNORED = ["interval", "countdown", "max_retries", "eager", "kwargs"];

/** It asks again and again for the results of a chord's parts, where Python's store can't count them itself. */
const UNLOCK =
  "parts of chords are counted as they end here, and none of our stores needs celery.chord_unlock: route it " +
  "to the Python workers whose result backend does";

/** What a task returns for each item, one after another. */
function callEach(
  task: RegisteredTask,
  items: readonly unknown[],
  argumentsOf: (item: unknown) => unknown[],
): unknown[] | Promise<unknown[]> {
  const { options } = task;
  const context = currentTask();
  const call = (item: unknown) => {
    const args = bindArguments(task, argumentsOf(item), {});
    return options.bind ? task.run(context, ...args) : task.run(...args);
  };
  const values: unknown[] = [];
  for (let i = 0; i < items.length; i++) {
    const value = call(items[i]);
    // From the first promise on each is waited for: the next call begins when the one before has ended.
    if (isThenable(value)) return callOn(values, value, items, i + 1, call);
    values.push(value);
  }
  return values;
}

async function callOn(
  values: unknown[],
  first: PromiseLike<unknown>,
  items: readonly unknown[],
  from: number,
  call: (item: unknown) => unknown,
): Promise<unknown[]> {
  values.push(await first);
  for (let i = from; i < items.length; i++) values.push(await call(items[i]));
  return values;
}

/** Chunks that are a task themselves, as in a chain, make all their calls where they run. */
async function callChunks(
  task: RegisteredTask,
  items: readonly unknown[],
  size: number,
): Promise<unknown[][]> {
  if (!Number.isInteger(size) || size < 1) throw new RangeError(`chunks of ${size} can't be`);
  const parts: unknown[][] = [];
  for (let i = 0; i < items.length; i += size) {
    parts.push(await callEach(task, items.slice(i, i + size), listOf));
  }
  return parts;
}

/** All that it is called with, or the one at `index`. */
function accumulate(): unknown {
  const { args, kwargs } = currentTask()!;
  const { index = null } = kwargs;
  if (index === null) return args;
  const value = typeof index === "number" ? args.at(index) : undefined;
  if (value === undefined) {
    throw new TaskError("tuple index out of range", { type: "IndexError", module: "builtins" });
  }
  return value;
}

/** A chord that somebody sent as a task takes its place: its result is that of the body. */
function startChord(header: unknown, body: unknown, args: unknown = null): unknown {
  const chord = readSignature({
    task: "celery.chord",
    args: args === null ? [] : listOf(args),
    kwargs: { kwargs: {}, header, body },
    subtask_type: "chord",
  });
  return currentTask()!.replace({ toJSON: () => chord });
}

function listOf(value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  throw new TypeError(`it must be a list, and is ${value === null ? "null" : typeof value}`);
}

function refuse(why: string): never {
  throw new WorkflowError(why);
}
