/** What an executable begins with: its first module, and those of the program's own files that are started by place. */
import type { ModuleFile } from "../isolate/load_modules.ts";
import { libraryModules } from "../platform.ts";

/** Paths for `programFile`: the command line, what threads begin with, and what task modules import by name. */
export const programEntries: readonly string[] = [
  "main",
  "isolate/web_worker_entry",
  "isolate/gate_entry",
  "isolate/inside",
  "transport/sqlite/upkeep_thread",
  ...Object.values(libraryModules),
];

/**
 * The source of the first module: it says which task modules are inside, then starts the command line. `main` and the
 * `url` of each module are relative to it.
 */
export function firstModule(modules: readonly ModuleFile[], main: string): string {
  return `const modules = ${JSON.stringify(modules)};
globalThis[Symbol.for("celeriac.embedded.modules")] = modules.map((module) => (
  { ...module, url: new URL(module.url, import.meta.url).href }
));
await import(${JSON.stringify(main)});
`;
}
