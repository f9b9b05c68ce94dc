/**
 * What a command of remote control is made of: the arguments that it takes, each checked before it runs, and what it
 * does to a worker. Commands know of the worker only what {@linkcode ControlledWorker} says. Beside the way of a task.
 */
import type { TaskDescription } from "../../isolate/task_definition.ts";
import type { Delivery } from "../../transport/transport.ts";

/** How far a task that a worker has in its hands has come. */
export type TaskPhase = "active" | "reserved" | "scheduled";

/** A task that a worker has in its hands. */
export interface TaskInHand {
  readonly delivery: Delivery;
  readonly phase: TaskPhase;
  /** When it started, in milliseconds since 1970. */
  readonly startedAt?: number;
  /** When it is due, in milliseconds since 1970, of one that waits for its time. */
  readonly due?: number;
  /** Its message is acknowledged already. */
  readonly acknowledged: boolean;
}

/** Limits of a task in seconds; null is none. */
export interface TaskLimits {
  readonly soft: number | null;
  readonly hard: number | null;
}

/** The timers of a worker, as remote control reaches them. */
export interface ControlledTimers {
  /** Whether a destination that names no node means this worker for its timers. */
  isCalled(destination: string): boolean;
  /** Cancels its own timers among these; what became of each. */
  cancel(ids: readonly string[]): Readonly<Record<string, string>>;
  /** How many there are, and the first of them to be due. */
  report(): unknown;
}

/** A worker, as remote control reaches it. */
export interface ControlledWorker {
  /** Its node name. */
  readonly node: string;
  readonly pid: number;
  readonly queues: readonly string[];
  /** Isolates, and tasks at once in each. */
  readonly concurrency: number;
  readonly slots: number;
  /** Milliseconds since its start. */
  readonly uptime: number;
  /** How many tasks have ended how. */
  readonly counts: Readonly<Record<string, number>>;
  /** Where its messages come from, password masked. */
  readonly broker: string;
  readonly tasks: readonly TaskDescription[];
  /** What it has in its hands now. Looks at all of it. */
  inHand(): readonly TaskInHand[];
  /** Ids of tasks that are not to run any more. */
  readonly revoked: readonly string[];
  /** Lets tasks not run any more; what has not started here is dropped. Resolves when that is kept. */
  revoke(ids: readonly string[]): Promise<void>;
  /** Ends those that run, too; tells which ran or waited here. */
  terminate(ids: readonly string[]): Promise<readonly string[]>;
  /**
   * Lets no task run any more that has one of these stamps, each with its value or a list of values; with `terminate` those
   * that run end, and the answer has their ids. Resolves when that is kept.
   */
  revokeStamped(stamps: Readonly<Record<string, unknown>>, terminate: boolean): Promise<readonly string[]>;
  /** Sets a task's limits from its next run on; tells whether there is such a task. */
  limit(task: string, limits: TaskLimits): boolean;
  readonly timers: ControlledTimers;
  /** Lets it finish what runs and end. */
  stop(): void;
}

/** What a command hears beside its arguments. */
export interface Surroundings {
  /** Lamport's clock. */
  readonly clock: number;
  /** Writes a line to the worker's log. */
  log(level: "info" | "warning", text: string): void;
}

/** A command: checks what it is given, and gives the reply, or a promise of it. @throws {ArgumentError} */
export type Command = (
  worker: ControlledWorker,
  given: Readonly<Record<string, unknown>>,
  around: Surroundings,
) => unknown;

/** An argument that a command can't take, in words for whoever sent it. */
export class ArgumentError extends Error {
  override readonly name = "ArgumentError";
}

/** Reads one argument, undefined where it is missing. @throws {ArgumentError} Says what it should be. */
export type Reader<T> = (value: unknown) => T;

type Values<Readers> = {
  readonly [Name in keyof Readers]: Readers[Name] extends Reader<infer T> ? T : never;
};

/** Makes a command of its arguments and what it does. Arguments that it does not know it passes over, as Celery does. */
export function command<Readers extends Readonly<Record<string, Reader<unknown>>>>(
  readers: Readers,
  run: (worker: ControlledWorker, given: Values<Readers>, around: Surroundings) => unknown,
): Command {
  return (worker, given, around) => {
    const values: Record<string, unknown> = {};
    for (const [name, read] of Object.entries(readers)) {
      try {
        values[name] = read(Object.hasOwn(given, name) ? given[name] : undefined);
      } catch (error) {
        if (error instanceof ArgumentError) throw new ArgumentError(`${name} ${error.message}`);
        throw error;
      }
    }
    return run(worker, values as Values<Readers>, around);
  };
}

/** A text that must be there. */
export function text(value: unknown): string {
  if (typeof value === "string" && value !== "") return value;
  throw new ArgumentError("must be a text");
}

/** A text, or null. */
export function textOrNull(value: unknown): string | null {
  return value === undefined || value === null ? null : text(value);
}

/** True or false, false where it is missing; words as command lines have them. */
export function flag(value: unknown): boolean {
  if (value === undefined || value === null) return false;
  if (typeof value === "boolean") return value;
  if (value === "true" || value === "True" || value === 1) return true;
  if (value === "false" || value === "False" || value === 0) return false;
  throw new ArgumentError("must be true or false");
}

/** One id or a list of them. */
export function ids(value: unknown): readonly string[] {
  const list = typeof value === "string" ? [value] : value;
  if (Array.isArray(list) && list.every((id) => typeof id === "string" && id !== "")) {
    return [...new Set(list)];
  }
  throw new ArgumentError("must be an id or a list of ids");
}

/** Names; none where it is missing. */
export function names(value: unknown): readonly string[] {
  return value === undefined || value === null ? [] : ids(value);
}

/** A number of seconds above 0, or null for none. */
export function limit(value: unknown): number | null {
  if (value === undefined || value === null) return null;
  const seconds = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  if (typeof seconds === "number" && Number.isFinite(seconds) && seconds > 0) return seconds;
  throw new ArgumentError("must be a number of seconds above 0, or null");
}

/** Anything. */
export function any(value: unknown): unknown {
  return value;
}

/** Stamps by their names, each with its value or a list of values; as a command line has them, too: `["name=value"]`. */
export function stamps(value: unknown): Readonly<Record<string, unknown>> {
  if (Array.isArray(value) && value.every((word) => typeof word === "string" && word.includes("="))) {
    return Object.fromEntries(value.map((word: string) => word.split(/=(.*)/s, 2)));
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length > 0) {
    return value as Readonly<Record<string, unknown>>;
  }
  throw new ArgumentError("must be stamps by their names");
}
