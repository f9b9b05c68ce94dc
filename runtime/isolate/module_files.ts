/** Files that may be task modules: below a folder, and near to what somebody has named in vain. Before the way of a task. */
import type { Stats } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, extname, join, resolve } from "node:path";
import { nearest } from "../config/suggest.ts";

const ENDINGS = [".ts", ".mts", ".js", ".mjs", ".tsx", ".jsx"];

/** How the names of task modules end, for people. */
export const endings: string = `${ENDINGS.slice(0, -1).join(", ")} or ${ENDINGS.at(-1)}`;

/** Whether a file that nobody has named by itself is a task module: code, and neither declarations nor tests. */
export function isSource(file: string): boolean {
  const name = basename(file);
  return ENDINGS.includes(extname(name)) && !/\.d\.[cm]?ts$/.test(name) &&
    !/[._](test|spec)\.[^.]+$/.test(name);
}

/** Whether a file that somebody has named can be a task module. */
export function isModule(file: string): boolean {
  return ENDINGS.includes(extname(file)) || /\.c[jt]s$/.test(file);
}

/**
 * The task modules below a folder, sorted. Links are followed, as a file that a container engine mounts is one; what is
 * hidden, and packages, are left out.
 */
export async function sourcesBelow(folder: string, above: readonly string[] = []): Promise<string[]> {
  const real = await realpath(folder);
  if (above.includes(real)) return [];
  const found: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.name[0] === "." || entry.name === "node_modules") continue;
    const path = join(folder, entry.name);
    const kind = entry.isSymbolicLink() ? await kindOf(path) : entry;
    if (kind?.isDirectory()) found.push(...await sourcesBelow(path, [...above, real]));
    else if (kind?.isFile() && isSource(path)) found.push(path);
  }
  return found.sort();
}

/** What there is of that name; undefined for nothing, a link that leads nowhere included. */
export async function kindOf(path: string): Promise<Stats | undefined> {
  return await stat(path).catch(() => undefined);
}

/** What somebody may have meant who has named no file and no folder: without its ending, dotted as in Python, or misspelt. */
export async function meantBy(pattern: string, cwd: string): Promise<string | undefined> {
  for (const path of [pattern, pattern.replace(/\.py$/, ""), pattern.replaceAll(".", "/")]) {
    for (const ending of ["", ...ENDINGS]) {
      if (path + ending !== pattern && await kindOf(resolve(cwd, path + ending))) return path + ending;
    }
  }
  const folder = dirname(pattern);
  const beside = await readdir(resolve(cwd, folder), { withFileTypes: true }).catch(() => []);
  const modules = beside.filter((entry) => entry.isDirectory() || isModule(entry.name)).map(({ name }) =>
    name
  );
  const name = nearest(basename(pattern), modules);
  return name === undefined ? undefined : join(folder, name);
}
