/**
 * Code that task modules start threads with, `new Worker(new URL("./thread.ts", import.meta.url))`: each is made one file
 * with all that it imports, before the executable is, which then has it inside.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { importedFiles, importsOf, isCode } from "../isolate/imports.ts";
import type { Bundler } from "../platform.ts";
import { filesByPlace } from "./placed_files.ts";

/** Bundles the threads of `modules` below `folder`: where each lies by where it came from. Those of packages are left out. */
export async function bundleThreads(
  bundler: Bundler,
  modules: readonly string[],
  folder: string,
  plugin: unknown,
): Promise<Map<string, string>> {
  const made = new Map<string, string>();
  for (const file of await threadsOf(modules)) {
    const outdir = join(folder, String(made.size));
    const { success } = await bundler.build({
      entrypoints: [file],
      outdir,
      naming: "[name].[ext]",
      target: "bun",
      format: "esm",
      sourcemap: "inline",
      ignoreDCEAnnotations: true,
      throw: false,
      plugins: [plugin],
    });
    // Otherwise it fails when it is started, as it would from the sources, and says why.
    if (success) made.set(file, join(outdir, `${basename(file, extname(file))}.js`));
  }
  return made;
}

async function threadsOf(modules: readonly string[]): Promise<Set<string>> {
  const threads = new Set<string>();
  const files = new Set(modules);
  // What is added on the way is visited, too.
  for (const file of files) {
    const source = isCode(file) ? await readFile(file, "utf8").catch(() => "") : "";
    for (const name of importsOf(source)) {
      for (const next of importedFiles(name, file)) if (existsSync(next)) files.add(next);
    }
    for (const [, placed] of filesByPlace(source, file)) if (isCode(placed)) threads.add(placed);
  }
  return threads;
}
