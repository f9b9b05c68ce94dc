/** What task modules offer, for commands that list or embed them: the modules are loaded, no task is run. */
import { getLogger } from "@logtape/logtape";
import { defaultSettings } from "../config/settings.ts";
import { taskDefaults } from "../isolate/isolate.ts";
import type { ModuleFile } from "../isolate/load_modules.ts";
import { type Confinement, WITHHELD } from "../isolate/permissions.ts";
import type { TaskDescription } from "../isolate/task_definition.ts";
import { confinesIsolates } from "../platform.ts";

/**
 * Loads modules in an isolate, as a worker does, so that what they print or end does not reach this command. In a
 * `sandbox` that has no permissions, where the runtime can enforce that.
 *
 * @throws {TaskModuleError} For modules that can't be used.
 */
export async function describeTasks(
  modules: readonly ModuleFile[],
  sandbox = false,
): Promise<readonly TaskDescription[]> {
  const { WebWorkerIsolate } = await import("../isolate/web_worker.ts");
  const log = getLogger(["celeriac", "task"]);
  const isolate = new WebWorkerIsolate(
    {
      modules,
      confinement: sandbox && confinesIsolates ? await noneFor(modules) : undefined,
      slots: 1,
      lifetime: { tasks: null, memory: null },
      hostname: "",
      pid: 0,
      logSuccess: false,
      client: WITHHELD,
      defaults: taskDefaults(defaultSettings),
    },
    {
      finished: () => {},
      follow: () => {},
      state: () => {},
      log: ({ level, text, task, id, own }) => log[level](text, { task, id, own }),
      relay: () => {
        throw new Error("no task runs where tasks are only described");
      },
      died: () => {},
    },
  );
  try {
    return await isolate.start();
  } finally {
    isolate.terminate();
  }
}

async function noneFor(modules: readonly ModuleFile[]): Promise<Confinement> {
  return await (await import("../isolate/module_graph.ts")).confinementOf("none", modules);
}
