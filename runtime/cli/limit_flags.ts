/** The flags of `celeriac worker` that bound what tasks and isolates may do. They stand for settings; names are Celery's. */
import type { Command } from "commander";
import type { Settings } from "../config/settings.ts";
import { count, secondsAbove0 } from "./flags.ts";

/** What these flags say. */
export interface LimitFlags {
  readonly timeLimit?: number;
  readonly softTimeLimit?: number;
  readonly maxTasksPerChild?: number;
  readonly maxMemoryPerChild?: number;
}

/** Puts them on the command. */
export function addLimitFlags(command: Command): Command {
  return command
    .option(
      "--time-limit <seconds>",
      "end tasks that run longer (default: taskTimeLimit, none)",
      secondsAbove0,
    )
    .option(
      "--soft-time-limit <seconds>",
      "abort the ctx.signal of tasks that run longer (default: taskSoftTimeLimit, none)",
      secondsAbove0,
    )
    .option(
      "--max-tasks-per-child <number>",
      "tasks that an isolate runs before it is renewed (default: workerMaxTasksPerIsolate, any)",
      count,
    )
    .option(
      "--max-memory-per-child <KiB>",
      "heap above which an isolate is renewed (default: workerMaxMemoryPerIsolate, any)",
      count,
    );
}

/** The settings with what the flags say. */
export function withLimits(settings: Settings, flags: LimitFlags): Settings {
  return {
    ...settings,
    taskTimeLimit: flags.timeLimit ?? settings.taskTimeLimit,
    taskSoftTimeLimit: flags.softTimeLimit ?? settings.taskSoftTimeLimit,
    workerMaxTasksPerIsolate: flags.maxTasksPerChild ?? settings.workerMaxTasksPerIsolate,
    workerMaxMemoryPerIsolate: flags.maxMemoryPerChild ?? settings.workerMaxMemoryPerIsolate,
  };
}
