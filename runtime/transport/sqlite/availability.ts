/** Whether there is an SQLite at all: older Nodes have none. Before a place is opened. */
import { runtimeName, runtimeVersion } from "../../platform.ts";
import { BadUrlError, maskUrl } from "../url.ts";

/**
 * What `load` imports, which needs `node:sqlite`.
 *
 * @throws {BadUrlError} When this runtime does not have that.
 */
export async function withSqlite<Module>(url: string, load: () => Promise<Module>): Promise<Module> {
  try {
    return await load();
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== "ERR_UNKNOWN_BUILTIN_MODULE") throw cause;
    throw new BadUrlError(
      `${maskUrl(url)}: ${runtimeName} ${runtimeVersion} has no SQLite: ` +
        `use Node 22.13 or newer, Deno or Bun, or another broker, as redis://HOST`,
      { cause },
    );
  }
}
