/** The entries of a schedule, read and checked when a scheduler starts, and the calls that it **publishes** for them. */
import { readFile } from "node:fs/promises";
import { type CallOptions, completeCall } from "../client/call.ts";
import type {
  CatchUp,
  Crontab,
  Interval,
  Schedule,
  ScheduledTask,
  ScheduleEntry,
  ScheduleOptions,
} from "../config/schedule.ts";
import type { Settings } from "../config/settings.ts";
import { nearest } from "../config/suggest.ts";
import { compileRoutes } from "../config/task_routes.ts";
import type { ScheduleExport } from "../isolate/schedule_export.ts";
import { type MarkedFunction, TASK_OPTIONS, type TaskOptions } from "../isolate/task_definition.ts";
import { encodeTask } from "../protocol/task_message.ts";
import type { WireMessage } from "../protocol/wire_message.ts";
import { timetableOfCrontab } from "./crontab_timetable.ts";
import { timetableOfInterval } from "./interval.ts";
import { occurrenceId } from "./occurrence.ts";
import type { Timetable } from "./timetable.ts";

/** A schedule that can't be used; it names the entry, where it stands, and what is wrong with it. */
export class ScheduleError extends Error {
  /** `"ScheduleError"`. */
  override readonly name = "ScheduleError";
}

/** An entry, ready to be looked at. */
export interface Entry {
  readonly name: string;
  readonly task: string;
  /** Its name for all schedulers of this broker. Entries of one name that call different tasks are different ones. */
  readonly key: string;
  readonly timetable: Timetable;
  readonly catchUp: CatchUp;
  /** Where it goes. */
  readonly queue: string;
  /** Where it stands: a file, or `the settings`. */
  readonly from: string;
  /** The message for one time, sent now; always with the same id. @throws {UnserializableError} */
  message(at: number, now: number): WireMessage;
}

const entryKeys = ["task", "schedule", "args", "kwargs", "options", "catchUp", "relative"];
/** What each option is: JSON is checked by no compiler. */
const optionTypes: Readonly<Record<keyof ScheduleOptions, "text" | "number" | "object" | "boolean">> = {
  queue: "text",
  exchange: "text",
  routingKey: "text",
  priority: "number",
  expires: "number",
  countdown: "number",
  headers: "object",
  serializer: "text",
  compression: "text",
  ignoreResult: "boolean",
  timeLimit: "number",
  softTimeLimit: "number",
  shadow: "text",
};

/** Where a schedule was given in whole. */
export interface GivenSchedule {
  /** A file, or `the settings`. */
  readonly from: string;
  readonly schedule: Schedule;
}

/**
 * Reads schedules, those that modules export and those that were given otherwise.
 *
 * @throws {ScheduleError} For what can't be used, and for two entries of one name.
 */
export function readEntries(
  exported: readonly ScheduleExport[],
  given: readonly GivenSchedule[],
  settings: Settings,
): Entry[] {
  const route = compileRoutes(settings.taskRoutes);
  const entries = new Map<string, Entry>();
  const add = (name: string, from: string, make: () => Entry) => {
    const other = entries.get(name);
    if (other !== undefined) {
      throw new ScheduleError(
        `two schedule entries are called "${name}", one in ${other.from} and one in ${from}`,
      );
    }
    try {
      entries.set(name, make());
    } catch (cause) {
      throw new ScheduleError(`${from}: the schedule entry "${name}": ${(cause as Error).message}`, {
        cause,
      });
    }
  };
  for (const { name, from, task, taskOptions, entry } of exported) {
    add(name, from, () => entryOf({ name, from, task, taskOptions, entry }, settings, route));
  }
  for (const { from, schedule } of given) {
    if (!isRecord(schedule)) throw new ScheduleError(`${from}: the schedule is no object of entries`);
    for (const [name, entry] of Object.entries(schedule)) {
      add(name, from, () => {
        if (!isRecord(entry)) throw new TypeError("it is no object with task and schedule");
        const { task, taskOptions } = namedTask(entry.task);
        return entryOf({ name, from, task, taskOptions, entry }, settings, route);
      });
    }
  }
  return [...entries.values()];
}

/** Reads a schedule in JSON. @throws {ScheduleError} */
export async function readScheduleFile(path: string): Promise<GivenSchedule> {
  try {
    return { from: path, schedule: JSON.parse(await readFile(path, "utf8")) };
  } catch (cause) {
    throw new ScheduleError(`${path} can't be read: ${(cause as Error).message}`, { cause });
  }
}

function entryOf(
  { name, from, task, taskOptions, entry }: ScheduleExport,
  settings: Settings,
  route: ReturnType<typeof compileRoutes>,
): Entry {
  checkKeys(entry, entryKeys, "");
  const { args = [], kwargs = {}, options = {}, catchUp = settings.beatCatchUp, relative = false } = entry;
  if (!Array.isArray(args)) throw new TypeError("args is no list");
  if (!isRecord(kwargs)) throw new TypeError("kwargs is no object");
  if (!isRecord(options)) throw new TypeError("options is no object");
  checkOptions(options);
  if (typeof relative !== "boolean") throw new TypeError("relative is neither true nor false");
  if (catchUp !== "one" && catchUp !== "none") throw new TypeError('catchUp is neither "one" nor "none"');
  const { headers, ...rest } = options as ScheduleOptions;
  const key = `${name}:${task}`;
  const message = (at: number, now: number) => {
    const call: CallOptions = {
      ...rest,
      // As Celery's schedulers for Django name it; and the time that it stands for, which the task may want to know.
      headers: { ...headers, periodic_task_name: name, celeriac_due: new Date(at).toISOString() },
    };
    const id = occurrenceId(key, at);
    const found = route(task, args, kwargs);
    return encodeTask(completeCall({ id, task, args, kwargs }, call, taskOptions, found, settings, now));
  };
  // What can't be sent is said now.
  const { exchange, routingKey } = message(0, 0);
  return {
    name,
    task,
    key,
    timetable: timetableOf(entry.schedule, relative, settings),
    catchUp,
    queue: exchange === "" ? routingKey : `${exchange} ${routingKey}`,
    from,
    message,
  };
}

function timetableOf(when: ScheduleEntry["schedule"], relative: boolean, settings: Settings): Timetable {
  if (typeof when === "number") return timetableOfInterval(when, relative);
  if (isRecord(when)) {
    const given = when as Partial<Crontab & Interval>;
    if (typeof given.crontab === "string") {
      checkKeys(given, ["crontab", "timezone"], "schedule.");
      return timetableOfCrontab(given as Crontab, settings.timezone);
    }
    if (typeof given.every === "number" || isRecord(given.every)) {
      checkKeys(given, ["every"], "schedule.");
      return timetableOfInterval(given.every as Interval["every"], relative);
    }
  }
  throw new TypeError(
    'schedule must be crontab(...), every(...), a number of seconds, {"crontab": "*/5 * * * *"} or {"every": 30}',
  );
}

/** Outside of task modules nobody knows what a worker calls a function, unless it says so itself. */
function namedTask(task: ScheduledTask): { task: string; taskOptions: TaskOptions } {
  if (typeof task === "string" && task !== "") return { task, taskOptions: {} };
  const taskOptions = typeof task === "function" ? (task as MarkedFunction)[TASK_OPTIONS] : undefined;
  if (taskOptions?.name !== undefined) return { task: taskOptions.name, taskOptions };
  throw new TypeError(
    'task must be the name of a task here, or a task that says its own: task({ name: "reports.build" }, ...)',
  );
}

function checkOptions(options: Readonly<Record<string, unknown>>): void {
  checkKeys(options, Object.keys(optionTypes), "options.");
  for (const [key, value] of Object.entries(options)) {
    const type = optionTypes[key as keyof ScheduleOptions];
    const fits = value === undefined ||
      (type === "text"
        ? typeof value === "string"
        : type === "number"
        ? typeof value === "number" && value >= 0
        : type === "object"
        ? isRecord(value)
        : typeof value === type);
    if (!fits) throw new TypeError(`options.${key} is ${JSON.stringify(value)}, but must be ${WORDS[type]}`);
  }
}

const WORDS = {
  text: "a text",
  number: "a number, 0 or more",
  object: "an object",
  boolean: "true or false",
};

function checkKeys(given: object, known: readonly string[], path: string): void {
  for (const key of Object.keys(given)) {
    if (known.includes(key)) continue;
    const meant = nearest(key, known);
    throw new TypeError(
      `there is no ${path}${key}${meant === undefined ? "" : `; did you mean ${path}${meant}?`}`,
    );
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
