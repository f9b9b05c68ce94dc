/**
 * What a task demands of the isolate it runs in, and which tasks therefore share isolates: before **dispatch**, once the
 * modules are loaded and their options known.
 */
import type { Settings } from "../config/settings.ts";
import { memorySize } from "../isolate/memory_size.ts";
import { type ModuleFile, TaskModuleError } from "../isolate/load_modules.ts";
import { type Permissions, permissionsOf } from "../isolate/permissions.ts";
import type { TaskDescription } from "../isolate/task_definition.ts";
import { confinesIsolates, endsBusyThreads, runtimeName } from "../platform.ts";

/** What an isolate must be like. */
export interface Demand {
  readonly permissions: Permissions;
  /** Whether it is a process of its own. */
  readonly process: boolean;
  /** Bytes that it may take; undefined for any number. */
  readonly memoryLimit: number | undefined;
}

/** Tasks of one demand, with the modules that have them. */
export interface DemandGroup {
  readonly demand: Demand;
  readonly tasks: readonly string[];
  readonly modules: readonly ModuleFile[];
}

/** What a worker grants and enforces. */
export interface DemandPolicy {
  /** Tasks that say nothing of permissions have none. */
  readonly sandbox: boolean;
  /** Where permissions can't be enforced, tasks run without that. */
  readonly allowUnsandboxed: boolean;
  /** Whether permissions can be enforced. Default: as this runtime can. */
  readonly confines?: boolean;
  /** Whether a thread can be ended whatever it does. Default: as this runtime can. */
  readonly endsThreads?: boolean;
  /** Gives each isolate a process of its own, whatever tasks demand. Default false. */
  readonly process?: boolean;
}

/** The policy of these settings. */
export function demandPolicy(settings: Settings): DemandPolicy {
  return { sandbox: settings.workerSandbox, allowUnsandboxed: settings.workerAllowUnsandboxed };
}

/** What a task demands that says nothing. */
export function usualDemand({ sandbox, confines = confinesIsolates, process = false }: DemandPolicy): Demand {
  return { permissions: sandbox && confines ? "none" : "inherit", process, memoryLimit: undefined };
}

/**
 * What a task demands.
 *
 * @throws {TaskModuleError} For options that can't be, and for permissions that nobody here enforces.
 */
export function demandOf(task: TaskDescription, policy: DemandPolicy): Demand {
  const { permissions, memoryLimit } = task.options;
  const usual = usualDemand(policy);
  try {
    return {
      permissions: permissions === undefined
        ? usual.permissions
        : enforced(permissionsOf(permissions), policy),
      process: usual.process || memoryLimit !== undefined || needsProcess(task.options, policy),
      memoryLimit: memoryLimit === undefined ? undefined : memorySize(memoryLimit),
    };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TaskModuleError(`the task ${task.name} in ${task.module}: ${why}`, { cause });
  }
}

/** Whether it asks for a process, or for a time limit that a thread could outlast. */
function needsProcess(
  { isolation, timeLimit = 0 }: TaskDescription["options"],
  { endsThreads = endsBusyThreads }: DemandPolicy,
): boolean {
  return isolation === undefined ? timeLimit > 0 && !endsThreads : isolation === "process";
}

function enforced(permissions: Permissions, { confines = confinesIsolates, allowUnsandboxed }: DemandPolicy) {
  if (permissions === "inherit" || confines) return permissions;
  if (allowUnsandboxed) return "inherit";
  throw new Error(unenforced("it has permissions of its own"));
}

/** The tasks that are to be confined and are not, because nobody here can: none, unless that was allowed. */
export function unconfined(
  tasks: readonly TaskDescription[],
  { workerSandbox, workerAllowUnsandboxed }: Settings,
): readonly TaskDescription[] {
  if (confinesIsolates || !workerAllowUnsandboxed) return [];
  return tasks.filter(({ options: { permissions = workerSandbox ? "none" : "inherit" } }) =>
    permissions !== "inherit"
  );
}

/** Why something can't be had here, and what to do. */
export function unenforced(what: string): string {
  const runtime = runtimeName === "bun" ? "Bun" : "this runtime";
  return `${what}, which ${runtime} can't enforce: run the worker on Deno, or accept that its tasks reach all that the ` +
    `worker itself may, with --allow-unsandboxed (the setting workerAllowUnsandboxed)`;
}

/**
 * The tasks, grouped by what they demand; those that demand nothing come first.
 *
 * @throws {TaskModuleError} For a task whose demands can't be met.
 */
export function groupsOf(
  tasks: readonly TaskDescription[],
  modules: readonly ModuleFile[],
  policy: DemandPolicy,
): DemandGroup[] {
  const usual = keyOf(usualDemand(policy));
  const groups = new Map<string, { demand: Demand; tasks: string[]; paths: Set<string> }>();
  for (const task of tasks) {
    const demand = demandOf(task, policy);
    const key = keyOf(demand);
    const group = groups.get(key) ?? { demand, tasks: [], paths: new Set() };
    group.tasks.push(task.name);
    group.paths.add(task.module);
    groups.set(key, group);
  }
  return [...groups]
    .sort(([a], [b]) => Number(b === usual) - Number(a === usual))
    .map(([, { demand, tasks, paths }]) => ({
      demand,
      tasks,
      modules: modules.filter(({ path }) => paths.has(path)),
    }));
}

/** Two demands are the same if these are. */
export function keyOf({ permissions, process, memoryLimit }: Demand): string {
  return JSON.stringify([permissions, process, memoryLimit ?? null]);
}
