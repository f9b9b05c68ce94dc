/**
 * Periodic tasks as task modules, files and settings say them: what the scheduler of `beat/` reads before it **publishes**.
 * All of it but a task that is a function is plain data, the same in TypeScript and in JSON.
 */

/** Times by the clock on the wall; made by `crontab()`, or written as it is. */
export interface Crontab {
  /** Minute, hour, day of the month, month, day of the week, as in `"0 3 * * mon-fri"`. */
  readonly crontab: string;
  /** The name of a time zone, as `"Europe/Berlin"`. Default: the setting `timezone`, UTC. */
  readonly timezone?: string;
}

/** A length of time; its parts add up. */
export interface Duration {
  /** 24 hours each, whatever the clock on the wall does. */
  readonly days?: number;
  /** Hours. */
  readonly hours?: number;
  /** Minutes. */
  readonly minutes?: number;
  /** Seconds. */
  readonly seconds?: number;
}

/** Times at equal distances; made by `every()`, or written as it is. */
export interface Interval {
  /** Seconds, or a length of time in larger parts. */
  readonly every: number | Duration;
}

/** Options of the calls that a schedule makes. */
export interface ScheduleOptions {
  /** The queue. Default: the task's own, else by `taskRoutes`, else `taskDefaultQueue`. */
  readonly queue?: string;
  /** The exchange to publish to. Default `""`, which leads straight to the queue. */
  readonly exchange?: string;
  /** The routing key. Default: the queue's name. */
  readonly routingKey?: string;
  /** 0 to 9; 0 is served first on Redis, SQLite and memory. */
  readonly priority?: number;
  /** Seconds after it was sent from which on it is no longer started: of use where it runs often. */
  readonly expires?: number;
  /** Seconds to wait before it starts. */
  readonly countdown?: number;
  /** Your own headers: the task finds them in `ctx.headers`. */
  readonly headers?: Readonly<Record<string, unknown>>;
  /** `"json"` or `"msgpack"`. Default: the setting `taskSerializer`. */
  readonly serializer?: string;
  /** `"zlib"`, `"gzip"`, `"zstd"` or `"brotli"`. Default: the setting `taskCompression`. */
  readonly compression?: string;
  /** Stores no result. */
  readonly ignoreResult?: boolean;
  /** Seconds after which the run is ended. */
  readonly timeLimit?: number;
  /** Seconds after which the run is asked to end. */
  readonly softTimeLimit?: number;
  /** Another name to show for it in logs and monitors. */
  readonly shadow?: string;
}

/** What becomes of times that passed while no scheduler ran or the broker was away: one run for all of them, or none. */
export type CatchUp = "one" | "none";

/** A task of a schedule: the function itself, or its name, in TypeScript or in Python. */
export type ScheduledTask = string | ((...args: never[]) => unknown);

/** One task and when it runs. */
export interface ScheduleEntry<Task extends ScheduledTask = ScheduledTask> {
  /** The task: a function that a task module exports, or a name. */
  readonly task: Task;
  /** When: `crontab(...)`, `every(...)`, or a number of seconds. */
  readonly schedule: Crontab | Interval | number;
  /** Positional arguments. Default none. */
  readonly args?: Task extends (...args: infer Args) => unknown ? Readonly<Args> : readonly unknown[];
  /** Keyword arguments, for a task that names its parameters or for Python. Default none. */
  readonly kwargs?: Readonly<Record<string, unknown>>;
  /** Options of each call. */
  readonly options?: ScheduleOptions;
  /** What becomes of missed times. Default: the setting `beatCatchUp`, `"one"`. */
  readonly catchUp?: CatchUp;
  /**
   * Lets an interval begin at a whole second, minute, hour or day of UTC, whichever is its largest part, instead of when it
   * is first seen (Celery: `relative`). Default false.
   */
  readonly relative?: boolean;
}

/** Periodic tasks by the names of their entries, which say them apart in logs and in the broker. */
export type Schedule = Readonly<Record<string, ScheduleEntry>>;
