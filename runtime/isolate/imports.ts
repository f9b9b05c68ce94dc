/**
 * What the text of a module says of its imports: for the places of errors in code that does not load, and for finding
 * out what a reload has to watch. Before the way of a task.
 */
import { dirname, extname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { resolveModule } from "../platform.ts";

const CODE = new Set([".ts", ".mts", ".cts", ".js", ".mjs", ".cjs", ".tsx", ".jsx"]);
/** What a runtime tries in turn behind a path that has no ending. */
const ENDINGS = [...CODE, ".json", ...[...CODE].map((ending) => `/index${ending}`)];
/** celeriac's own code: the main thread has it too and can't load it anew. */
const OWN = fileURLToPath(new URL("../", import.meta.url));

/** Whether a file is code, which may import others. */
export function isCode(file: string): boolean {
  return CODE.has(extname(file));
}

/**
 * What a source imports, by its text: static and dynamic imports, `require`, and code that it names by `new URL`, for
 * threads of its own. It may name more than is there (in a comment behind code): that is looked for in vain.
 */
export function importsOf(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const names = new Set<string>();
  for (const [, by, , name] of code.matchAll(IMPORT)) if (by !== "URL(" || isCode(name)) names.add(name);
  return [...names];
}

const IMPORT = /\b(from|import|import\(|require\(|URL\()\s*(["'`])([^"'`\n]+)\2/g;

/**
 * The files outside of `node_modules` that a name in the file `from` leads to: one, or all that may come to be it where
 * its ending is left out.
 */
export function importedFiles(name: string, from: string): string[] {
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
