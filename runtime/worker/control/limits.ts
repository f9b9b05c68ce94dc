/** `time_limit`: what a task may take, from its next run on. */
import { type Command, command, limit, text } from "./command.ts";

/** By their names in Celery. */
export const limitCommands: Readonly<Record<string, Command>> = {
  time_limit: command(
    { task_name: text, soft: limit, hard: limit },
    (worker, { task_name, soft, hard }, { log }) => {
      if (!worker.limit(task_name, { soft, hard })) return { error: "unknown task" };
      log("info", `New time limits for ${task_name}: soft ${soft ?? "none"}, hard ${hard ?? "none"}.`);
      return { ok: "time limits set successfully" };
    },
  ),
};
