/**
 * The files that a module opens by their places beside it, `new URL("./page.txt", import.meta.url)`: an executable has them
 * inside, and the name leads there.
 */
import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { isCode } from "../isolate/imports.ts";

const BY_PLACE = /\bnew URL\(\s*(["'`])(\.{1,2}\/[^"'`\n$?#]+)\1\s*,\s*import\.meta\.url\s*,?\s*\)/g;
/** What the bundler makes of such a file, and of one that is imported as text: its path in an executable made before. */
const BY_PATH =
  /(?<==\s*)(__require\()?"((?:\/\$bunfs|[A-Z]:[\\/]~BUN)[\\/]root[\\/][^"\n]+)"(?:\)|(?=[;,\s]))/g;

/** Where what a module opens is found now. */
export interface Placing {
  /** Code for threads, bundled, by where it came from. */
  readonly threads: ReadonlyMap<string, string>;
  /** Where a path inside of this executable lies, unpacked. */
  unpacked(path: string): string;
}

/** The files that the module `path` opens by their places, each behind the expression that names it. */
export function filesByPlace(source: string, path: string): [expression: string, file: string][] {
  return [...source.matchAll(BY_PLACE)]
    .map(([text, , name]): [string, string] => [text, join(dirname(path), name)])
    .filter(([, file]) => isFile(file));
}

/** The source of the module `path` with its files inside; undefined where it opens none. */
export function withPlacedFiles(source: string, path: string, placing: Placing): string | undefined {
  const imports: string[] = [];
  let text = source;
  const put = (expression: string, file: string, type: "file" | "text", value: (name: string) => string) => {
    const name = `celeriac_file_${imports.length}`;
    imports.push(`import ${name} from ${JSON.stringify(file)} with { type: "${type}" };`);
    text = text.replaceAll(expression, () => value(name));
  };
  for (const [expression, file] of new Map(filesByPlace(source, path))) {
    const inside = isCode(file) ? placing.threads.get(file) : file;
    if (inside === undefined) continue;
    put(expression, inside, "file", (name) => `new URL(celeriac_file_url(${name}))`);
  }
  for (const [expression, required, inside] of source.matchAll(BY_PATH)) {
    const file = placing.unpacked(inside);
    if (file !== inside && isFile(file)) put(expression, file, required ? "text" : "file", (name) => name);
  }
  if (imports.length === 0) return undefined;
  return `${text}\n${imports.join("\n")}\n${URL_OF}\n`;
}

/** On Windows a path inside begins with a letter. */
const URL_OF = `function celeriac_file_url(path) {
  return "file://" + (path[0] === "/" ? "" : "/") + path.replaceAll("\\\\", "/");
}`;

function isFile(path: string): boolean {
  return existsSync(path) && statSync(path).isFile();
}
