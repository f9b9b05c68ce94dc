/**
 * The files that task modules are made of: the modules and what they import, as far as it lies outside of
 * `node_modules`. Beside the way of a task; `reload.ts` asks whether any of them has changed.
 */
import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { glob, isDynamicPattern } from "tinyglobby";
import { importedFiles, importsOf, isCode } from "../isolate/imports.ts";
import type { ModuleFile } from "../isolate/load_modules.ts";

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

/** Reads sources, and those that have not changed not again. */
export class Sources {
  readonly #known = new Map<string, Source>();

  /** Modules and all that they import, and what those import, and so on. */
  async read(modules: readonly ModuleFile[]): Promise<Digests> {
    const digests = new Map<string, string | null>();
    let next = modules.filter(({ url }) => url.startsWith("file:")).map(({ url }) => fileURLToPath(url));
    while (next.length > 0) {
      const files = [...new Set(next)].filter((file) => !digests.has(file));
      const sources = await Promise.all(files.map((file) => this.#source(file)));
      files.forEach((file, i) => digests.set(file, sources[i]?.digest ?? null));
      next = sources.flatMap((source, i) =>
        source?.imports.flatMap((name) => importedFiles(name, files[i])) ?? []
      );
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
      const imports = isCode(file) ? importsOf(content.toString()) : [];
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
    const options = { cwd: base, onlyDirectories: true, absolute: true, ignore: UNWATCHED };
    // What is not to be read is not to be loaded either: whoever tries says so.
    const below = await glob("**", options).catch(() => []);
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
