/** Which task's demands decide where a message runs: **dispatch**. */
import { decodeTask, peekTask } from "../protocol/task_message.ts";

/** Celery's own tasks that call another one many times, where they run themselves. */
const CALLERS = new Set(["celery.map", "celery.starmap", "celery.chunks"]);

/** The task that a message calls: of those that call another one it is that. Undefined where none can be found. */
export function calledTask(text: string): string | undefined {
  const name = peekTask(text)?.task;
  if (name === undefined || !CALLERS.has(name)) return name;
  try {
    const { task } = decodeTask(text).kwargs as { task?: { task?: unknown } };
    return typeof task?.task === "string" ? task.task : name;
  } catch {
    // The isolate says what is wrong with it.
    return name;
  }
}
