/** What task modules offer, for commands that list or embed them: the modules are loaded, no task is run. */
import { getLogger } from "@logtape/logtape";
import { systemClock } from "../clock.ts";
import type { ModuleFile } from "../isolate/load_modules.ts";
import type { TaskDescription } from "../isolate/task_definition.ts";

/**
 * Loads modules in an isolate, as a worker does, so that what they print or end does not reach this command.
 *
 * @throws {TaskModuleError} For modules that can't be used.
 */
export async function describeTasks(modules: readonly ModuleFile[]): Promise<readonly TaskDescription[]> {
  const { WebWorkerIsolate } = await import("../isolate/web_worker.ts");
  const log = getLogger(["celeriac", "task"]);
  const isolate = new WebWorkerIsolate(
    {
      modules,
      slots: 1,
      hostname: "",
      pid: 0,
      logSuccess: false,
      client: {},
      defaults: {
        ignoreResult: false,
        storeErrorsEvenIfIgnored: false,
        storeUndefined: true,
        trackStarted: false,
        resultExpires: 0,
        resultExtended: false,
        acceptContent: [],
        maxBodyBytes: 0,
      },
    },
    {
      finished: () => {},
      state: () => {},
      log: ({ level, text, task, id, own }) => log[level](text, { task, id, own }),
      relay: () => {
        throw new Error("no task runs where tasks are only described");
      },
      died: () => {},
    },
    systemClock,
  );
  try {
    return await isolate.start();
  } finally {
    isolate.terminate();
  }
}
