/** The schedules that task modules export: they are loaded in an isolate, as a worker loads them, which ends at once. */
import process from "node:process";
import { getLogger } from "@logtape/logtape";
import { settingsForIsolates } from "../config/surroundings.ts";
import type { Settings } from "../config/settings.ts";
import { ClaimBoard } from "../isolate/claim_board.ts";
import { taskDefaults } from "../isolate/isolate.ts";
import { type ModuleFile, TaskModuleError } from "../isolate/load_modules.ts";
import type { PortMessage } from "../isolate/port_end.ts";
import type { ScheduleExport } from "../isolate/schedule_export.ts";
import { IsolateThread } from "../isolate/thread.ts";
import { confinesIsolates, requireIsolates } from "../platform.ts";

const log = getLogger(["celeriac", "task"]);

/**
 * Reads the schedules of modules. What they print is logged; where tasks are confined, they may reach nothing.
 *
 * @throws {TaskModuleError} For modules that can't be used, and for entries that are none.
 * @throws {UnsupportedRuntimeError} On Node.
 */
export async function exportedSchedules(
  modules: readonly ModuleFile[],
  settings: Settings,
): Promise<readonly ScheduleExport[]> {
  requireIsolates();
  const confinement = settings.workerSandbox && confinesIsolates
    ? await (await import("../isolate/module_graph.ts")).confinementOf("none", modules)
    : undefined;
  let thread: IsolateThread | undefined;
  try {
    return await new Promise((resolve, reject) => {
      const fail = (reason: string) => reject(new TaskModuleError(reason));
      const hear = (message: PortMessage) => {
        if (!("kind" in message)) return;
        if (message.kind === "ready") resolve(message.schedules ?? []);
        else if (message.kind === "unusable") fail(message.reason);
        else if (message.kind === "died") {
          fail(`the task modules ended their isolate while loading: ${message.reason}`);
        } else if (message.kind === "log") {
          const { level, text, task, id, own } = message.line;
          log[level](text, { task, id, own });
        }
      };
      thread = new IsolateThread(
        {
          modules,
          confinement,
          slots: 1,
          hostname: "",
          pid: process.pid,
          logSuccess: false,
          lifetime: { tasks: null, memory: null },
          schedules: true,
          client: settingsForIsolates(settings),
          defaults: taskDefaults(settings),
        },
        new ClaimBoard(),
        { hear, failed: (reason) => fail(`the isolate failed: ${reason}`) },
      );
    });
  } finally {
    thread?.terminate();
  }
}
