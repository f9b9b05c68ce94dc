/** Which celeriac this is: what `celeriac --version` and `celeriac report` say beside the release. */
import { embeddedModules } from "../isolate/embedded_modules.ts";
import { isOneFile, runtimeName, runtimeVersion } from "../platform.ts";

/** What it runs on, as `bun 1.4.5`. */
export const runtime: string = `${runtimeName} ${runtimeVersion}`;

/** Whether it is one executable file, and what is inside. */
export function edition(): string {
  if (!isOneFile) return "source files";
  const inside = embeddedModules().length;
  if (inside === 0) return "one file, task modules from disk";
  return `one file, ${inside} task ${inside === 1 ? "module" : "modules"} inside`;
}
