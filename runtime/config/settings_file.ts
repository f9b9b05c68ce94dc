/** The settings file of the command line: `celeriac.json`, or `celeriac.ts` with a default export. */
import { access, readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { provideLibrary } from "../platform.ts";
import { SettingsError, type SettingsLayer } from "./resolve.ts";
import type { GivenSettings } from "./settings.ts";

const names = ["celeriac.json", "celeriac.ts", "celeriac.js"];

/**
 * Reads the settings file `path`, or without one the file in `folder` that is called `celeriac.json`, `celeriac.ts`
 * or `celeriac.js`; null where there is none. Its settings are not checked yet.
 *
 * @throws {SettingsError} When it can't be read, or when there are several.
 */
export async function readSettingsFile(folder: string, path?: string): Promise<SettingsLayer | null> {
  const found = path === undefined ? await present(folder) : [path];
  if (found.length > 1) {
    throw new SettingsError(`${found.join(" and ")} are both here: keep one, or name one with --config`);
  }
  if (found.length === 0) return null;
  const [name] = found;
  const file = resolve(folder, name);
  return { from: name, settings: await (name.endsWith(".json") ? readJson(file, name) : load(file, name)) };
}

async function present(folder: string): Promise<string[]> {
  const there = await Promise.all(
    names.map((name) => access(resolve(folder, name)).then(() => true, () => false)),
  );
  return names.filter((_, i) => there[i]);
}

async function readJson(file: string, name: string): Promise<GivenSettings> {
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch (cause) {
    throw new SettingsError(`${name} can't be read: ${(cause as Error).message}`, { cause });
  }
}

async function load(file: string, name: string): Promise<GivenSettings> {
  await access(file).catch((cause) => {
    throw new SettingsError(`${name} can't be read: ${(cause as Error).message}`, { cause });
  });
  provideLibrary();
  let module: { default?: unknown };
  try {
    module = await import(pathToFileURL(file).href);
  } catch (cause) {
    const text = cause instanceof Error ? cause.stack ?? String(cause) : String(cause);
    throw new SettingsError(`${name} does not load: ${text}`, { cause });
  }
  if (typeof module.default !== "object" || module.default === null) {
    throw new SettingsError(`${name} has no settings: export them as its default, export default { ... }`);
  }
  return module.default as GivenSettings;
}
