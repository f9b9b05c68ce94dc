/**
 * The files that task modules are made of: the modules and what they import, as far as it lies outside of
 * `node_modules`. Beside the way of a task; `reload.ts` asks whether any of them has changed.
 */
import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { dirname, extname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { glob, isDynamicPattern } from "tinyglobby";
import type { ModuleFile } from "../isolate/load_modules.ts";
import { resolveModule } from "../platform.ts";

/** Files by path, each with the digest of its content; null stands for a file that is looked for and missing. */
export type Digests = ReadonlyMap<string, string | null>;

interface Source {
  /** Time and size, which change with every write. */
  readonly stamp: string;
  readonly digest: string;
  /** What it imports, as it stands there. */
  readonly imports: readonly string[];
}

/** The digest of a file with nothing in it. */
export const EMPTY: string = digestOf(new Uint8Array());

const CODE = new Set([".ts", ".mts", ".cts", ".js", ".mjs", ".cjs", ".tsx", ".jsx"]);
/** What a runtime tries in turn behind a path that has no ending. */
const ENDINGS = [...CODE, ".json", ...[...CODE].map((ending) => `/index${ending}`)];
/** celeriac's own code: the main thread has it too and can't load it anew. */
const OWN = fileURLToPath(new URL("../", import.meta.url));

/** Reads sources, and those that have not changed not again. */
export class Sources {
  readonly #known = new Map<string, Source>();

  /** Modules and all that they import, and what those import, and so on. */
  async read(modules: readonly ModuleFile[]): Promise<Digests> {
    const digests = new Map<string, string | null>();
    let next = modules.map(({ url }) => fileURLToPath(url));
    while (next.length > 0) {
      const files = [...new Set(next)].filter((file) => !digests.has(file));
      const sources = await Promise.all(files.map((file) => this.#source(file)));
      files.forEach((file, i) => digests.set(file, sources[i]?.digest ?? null));
      next = sources.flatMap((source, i) => source?.imports.flatMap((name) => target(name, files[i])) ?? []);
    }
    for (const file of this.#known.keys()) if (!digests.has(file)) this.#known.delete(file);
    return digests;
  }

  async #source(file: string): Promise<Source | undefined> {
    try {
      const { mtimeMs, ctimeMs, size, ino } = await stat(file);
      const stamp = `${mtimeMs} ${ctimeMs} ${size} ${ino}`;
      const known = this.#known.get(file);
      if (known?.stamp === stamp) return known;
      const content = await readFile(file);
      const digest = digestOf(content);
      const imports = CODE.has(extname(file)) ? importsOf(content.toString()) : [];
      const source = { stamp, digest, imports };
      this.#known.set(file, source);
      return source;
    } catch {
      // Missing, a folder, or not to be read: whoever loads the module will say so.
      this.#known.delete(file);
      return undefined;
    }
  }
}

function digestOf(content: Uint8Array): string {
  return createHash("sha1").update(content).digest("base64");
}

/**
 * What a source imports, by its text: static and dynamic imports, `require`, and workers of its own by `new URL`. It may
 * name more than is there (in a comment behind code): that is looked for in vain.
 */
export function importsOf(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const names = new Set<string>();
  for (
    const [, , name] of code.matchAll(/\b(?:from|import|import\(|require\(|URL\()\s*(["'`])([^"'`\n]+)\1/g)
  ) {
    names.add(name);
  }
  return [...names];
}

/** The files that a name leads to: one, or all that may come to be it where its ending is left out. */
function target(name: string, from: string): string[] {
  let file: string;
  if (/^\.{0,2}\//.test(name)) file = join(name.startsWith("/") ? "" : dirname(from), name);
  else if (/^[a-z]+:/i.test(name) && !name.startsWith("file:")) return [];
  else {
    const url = resolveModule(name, pathToFileURL(from).href);
    if (!url?.startsWith("file:")) return [];
    file = fileURLToPath(url);
  }
  file = file.replace(/[?#].*$/, "");
  if (file.includes("/node_modules/") || file.startsWith(OWN)) return [];
  const typed = file.replace(/\.([cm]?)js(x?)$/, ".$1ts$2");
  if (typed !== file) return [file, typed];
  if (CODE.has(extname(file)) || extname(file) === ".json") return [file];
  return [file, ...ENDINGS.map((ending) => file + ending)];
}

/** The folders in which a change may concern modules: those of the files, and all in which new modules may appear. */
export async function foldersOf(
  patterns: readonly string[],
  cwd: string,
  digests: Digests,
): Promise<Set<string>> {
  const folders = new Set<string>();
  for (const [file, digest] of digests) {
    // A folder where something is looked for in vain may be missing, too.
    if (digest !== null) folders.add(dirname(file));
  }
  for (const pattern of patterns) {
    const base = resolve(cwd, isDynamicPattern(pattern) ? fixedPart(pattern) : pattern);
    if ((await stat(base).catch(() => undefined))?.isDirectory() !== true) continue;
    const below = await glob("**", { cwd: base, onlyDirectories: true, absolute: true, ignore: UNWATCHED });
    for (const folder of below) folders.add(resolve(folder));
    folders.add(base);
  }
  return folders;
}

const UNWATCHED = ["**/node_modules/**", "**/.*/**"];

/** The part of a glob before its first wildcard. */
function fixedPart(pattern: string): string {
  const parts = pattern.split("/");
  const fixed = parts.slice(0, parts.findIndex((part) => isDynamicPattern(part)));
  return fixed.join("/") || (pattern.startsWith("/") ? "/" : ".");
}
