/** The table of all commands that a worker obeys. A new family of them is a file beside this one and a line here. */
import type { Command } from "./command.ts";
import { factCommands } from "./facts.ts";
import { lifeCommands } from "./life.ts";
import { limitCommands } from "./limits.ts";
import { revokeCommands } from "./revoke.ts";
import { taskCommands } from "./tasks.ts";
import { timerCommands } from "./timers.ts";

/** By Celery's names. */
export const commands: ReadonlyMap<string, Command> = new Map(Object.entries({
  ...lifeCommands,
  ...revokeCommands,
  ...limitCommands,
  ...taskCommands,
  ...factCommands,
  ...timerCommands,
}));
