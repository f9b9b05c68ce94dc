/**
 * Inside a worker's isolate: the settings of that worker, so that a task which sends others sends them where it came
 * from itself, without being told.
 */
import type { GivenSettings, Settings } from "./settings.ts";

// On a registered symbol, so that a second copy of the library in a task's own dependencies finds them too.
const WORKER_SETTINGS: unique symbol = Symbol.for("celeriac.worker.settings") as never;
const shared = globalThis as { [WORKER_SETTINGS]?: GivenSettings };

/** Settings as they can be handed to another thread: routes that are functions stay behind, and periodic tasks. */
export function settingsForIsolates({ beatSchedule: _, ...settings }: Settings): GivenSettings {
  const { taskRoutes, ...rest } = settings;
  const routers = Array.isArray(taskRoutes) ? taskRoutes : [taskRoutes];
  return routers.some((router) => typeof router === "function") ? rest : settings;
}

/** Called in an isolate before any task module loads. */
export function setWorkerSettings(settings: GivenSettings): void {
  shared[WORKER_SETTINGS] = settings;
}

/** The settings of the worker that this isolate belongs to; none outside of one. */
export function workerSettings(): GivenSettings {
  return shared[WORKER_SETTINGS] ?? {};
}
