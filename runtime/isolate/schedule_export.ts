/**
 * The schedules that task modules export, read in an isolate that has loaded them: tasks that are functions get the names
 * that a worker has for them, and all the rest is data that other threads can have. Before **publish**.
 */
import type { Schedule, ScheduledTask, ScheduleEntry } from "../config/schedule.ts";
import type { LoadedModule } from "./load_modules.ts";
import {
  describeTask,
  type MarkedFunction,
  type RegisteredTask,
  TASK_FUNCTION,
  TASK_OPTIONS,
  type TaskOptions,
} from "./task_definition.ts";

/** One entry of a module's schedule. */
export interface ScheduleExport {
  readonly name: string;
  /** The module's path. */
  readonly from: string;
  /** The task's name. */
  readonly task: string;
  /** What the task itself says of its calls. */
  readonly taskOptions: TaskOptions;
  /** The entry as it was given, but for its task. */
  readonly entry: Omit<ScheduleEntry, "task">;
}

/** Whether a module has a schedule; a function of that name is a task like any other. */
export function exportsSchedule(exports: Readonly<Record<string, unknown>>): boolean {
  return typeof exports.schedule === "object" && exports.schedule !== null;
}

/**
 * The entries of all modules.
 *
 * @throws {TypeError} For an entry that is none, or that can't be handed to another thread.
 */
export function readSchedules(
  modules: readonly LoadedModule[],
  tasks: ReadonlyMap<string, RegisteredTask>,
): ScheduleExport[] {
  const known = new Map([...tasks.values()].map((task) => [task.run, task]));
  return modules.filter(({ exports }) => exportsSchedule(exports)).flatMap(({ file, exports }) =>
    Object.entries(exports.schedule as Schedule).map(([name, whole]) => {
      const place = `${file.path}: the schedule entry "${name}"`;
      if (typeof whole !== "object" || whole === null) {
        throw new TypeError(`${place} is no object with task and schedule`);
      }
      const { task, ...entry } = whole;
      try {
        structuredClone(entry);
      } catch (cause) {
        throw new TypeError(`${place} has a function in it: only task may be one`, { cause });
      }
      return { name, from: file.path, ...nameOf(task, tasks, known, place), entry };
    })
  );
}

function nameOf(
  task: ScheduledTask,
  tasks: ReadonlyMap<string, RegisteredTask>,
  known: ReadonlyMap<unknown, RegisteredTask>,
  place: string,
): { task: string; taskOptions: TaskOptions } {
  const marked = typeof task === "function" ? task as MarkedFunction : undefined;
  const found = typeof task === "string" ? tasks.get(task) : known.get(marked?.[TASK_FUNCTION] ?? task);
  if (found !== undefined) return { task: found.name, taskOptions: optionsOf(found) };
  if (typeof task === "string" && task !== "") return { task, taskOptions: {} };
  const options = marked?.[TASK_OPTIONS];
  if (options?.name !== undefined) {
    const own = { name: options.name, module: "", run: () => {}, options };
    return { task: options.name, taskOptions: optionsOf(own) };
  }
  throw new TypeError(
    typeof task === "function"
      ? `${place} calls a function that no loaded module exports: export it, load its module with -A, or give its name`
      : `${place} needs a task: a function that a task module exports, or a name`,
  );
}

/** Only what can be handed to another thread. */
function optionsOf(task: RegisteredTask): TaskOptions {
  const { queue, priority, expires, serializer, compression, ignoreResult } = describeTask(task).options;
  return { queue, priority, expires, serializer, compression, ignoreResult };
}
