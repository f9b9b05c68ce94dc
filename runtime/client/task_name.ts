/**
 * What a task is called when its options don't say: as a worker would call it that was given its file, so that
 * `.delay()` works with `export const add = task(...)` as it stands.
 */
import { basename, extname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** The URL of the file that called the function which called this one, or undefined where the runtime won't say. */
export function callingFile(own: string): string | undefined {
  const frames = new Error().stack?.matchAll(/(file:\/\/\/[^\s)]+?|\/[^\s():]+):\d+(?::\d+)?/g) ?? [];
  for (const [, place] of frames) {
    const url = place.startsWith("file:") ? place : pathToFileURL(place).href;
    if (url !== own && url !== import.meta.url) return url;
  }
  return undefined;
}

/**
 * `<basename>.<export>` of a task, by the exports of the file that made it.
 *
 * @throws {TypeError} When the file does not export it.
 */
export async function exportedName(task: unknown, file: string | undefined): Promise<string> {
  if (file !== undefined) {
    const exports: Record<string, unknown> = await import(file);
    const path = fileURLToPath(file);
    const members = [...Object.entries(exports), ...Object.entries(exports.default ?? {})];
    const found = members.find(([, value]) => value === task);
    if (found !== undefined) return `${basename(path, extname(path))}.${found[0]}`;
  }
  throw new TypeError(
    `a task${
      file === undefined ? "" : ` of ${file}`
    } has no name: export it from its file, or give it one with task({ name }, fn)`,
  );
}
