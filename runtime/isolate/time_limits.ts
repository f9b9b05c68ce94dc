/**
 * How long a task may run, in seconds: the limits of its message win over those of its task, and these over the settings',
 * as in Celery. Part of **run**; the hard one is kept on the claim board, where the main thread sees it.
 */
import type { TaskRequest } from "../protocol/task_message.ts";
import type { TaskDefaults } from "./isolate.ts";
import type { TaskOptions } from "./task_definition.ts";

/** Limits that were set for a task while its worker runs (Celery: the remote command `time_limit`). */
export interface LimitsOfTask {
  readonly task: string;
  /** Seconds; null for what the settings say. */
  readonly hard: number | null;
  /** Seconds; null for what the settings say. */
  readonly soft: number | null;
}

/** A task's limits by everything that has a say in them; 0 is none. */
export class TimeLimits {
  readonly #defaults: TaskDefaults;
  readonly #set = new Map<string, LimitsOfTask>();

  constructor(defaults: TaskDefaults) {
    this.#defaults = defaults;
  }

  /** From here on these hold for a task, instead of those of its options. */
  set(limits: LimitsOfTask): void {
    this.#set.set(limits.task, limits);
  }

  /** Seconds after which a run is ended. */
  hard(request: TaskRequest, options: TaskOptions): number {
    const set = this.#set.size === 0 ? undefined : this.#set.get(request.task);
    const own = set === undefined ? options.timeLimit : set.hard;
    return above0(request.timeLimit[0]) || above0(own ?? this.#defaults.timeLimit);
  }

  /** Seconds after which a run is told to end. */
  soft(request: TaskRequest, options: TaskOptions): number {
    const set = this.#set.size === 0 ? undefined : this.#set.get(request.task);
    const own = set === undefined ? options.softTimeLimit : set.soft;
    return above0(request.timeLimit[1]) || above0(own ?? this.#defaults.softTimeLimit);
  }
}

function above0(seconds: number | null): number {
  return seconds !== null && seconds > 0 ? seconds : 0;
}

/** What is wrong with the limits in a task's options, if anything is. */
export function wrongLimit(options: TaskOptions): string | undefined {
  for (const name of ["timeLimit", "softTimeLimit"] as const) {
    const value: unknown = options[name];
    if (value === undefined || typeof value === "number" && value >= 0 && value < Infinity) continue;
    const shown = typeof value === "string" ? `"${value}"` : String(value);
    return `its ${name} is ${shown}, but must be a number of seconds, 0 or more`;
  }
  return undefined;
}
