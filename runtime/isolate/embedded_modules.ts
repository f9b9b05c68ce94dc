/**
 * The task modules inside an executable, which `celeriac compile` puts there with their names fixed. Read where the
 * worker finds its modules; what says them is the executable's first module, which `build/` writes.
 */
import type { ModuleFile } from "./load_modules.ts";

/** Where they hang in the main thread. */
export const EMBEDDED_MODULES: unique symbol = Symbol.for("celeriac.embedded.modules") as never;

/** The task modules inside this executable; none where it has none, and in a checkout. */
export function embeddedModules(): readonly ModuleFile[] {
  return (globalThis as { [EMBEDDED_MODULES]?: readonly ModuleFile[] })[EMBEDDED_MODULES] ?? [];
}
