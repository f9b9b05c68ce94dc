/**
 * The tasks whose signatures were made in this process: a signature has the name alone, and its options and its function are
 * found again when it is **published**, as Celery finds them in its registry.
 */
import type { TaskFunction, TaskOptions } from "../isolate/task_definition.ts";

/** A task that is known by its name. */
export interface KnownTask {
  readonly options: TaskOptions;
  readonly run: TaskFunction;
}

const known = new Map<string, KnownTask>();

/** Remembers a task. */
export function knowTask(name: string, task: KnownTask): void {
  known.set(name, task);
}

/** What is known of a task of that name. */
export function knownTask(name: string): KnownTask | undefined {
  return known.get(name);
}
