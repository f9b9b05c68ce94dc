/**
 * Why a task module does not load, with file and line, which each runtime tells in its own way or not at all. Before
 * the way of a task.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { inspect, stripVTControlCharacters } from "node:util";
import { importedFiles, importsOf, isCode } from "./imports.ts";
import { userTrace } from "./user_trace.ts";

/** What Bun says of code that it can't read: its fields are all on the prototype, and there is no stack. */
interface BuildMessage extends Error {
  readonly position?: {
    readonly file: string;
    readonly line: number;
    readonly column: number;
    readonly lineText: string;
  } | null;
  /** Of a module that is not found: its name, and the file that names it. */
  readonly specifier?: string;
  readonly referrer?: string;
}

/** Name, message and place of what was thrown while `module` (a URL) loaded, as the lines of a stack. */
export function loadTrace(error: unknown, module: string): string {
  if (!(error instanceof Error)) return `it throws ${inspect(error)}`;
  if (error instanceof AggregateError && error.errors.length > 0 && error.errors.every(isBuildMessage)) {
    return error.errors.map((each) => loadTrace(each, module)).join("\n");
  }
  if (isBuildMessage(error)) return buildTrace(error);
  const trace = stripVTControlCharacters(userTrace(error) ?? String(error))
    // Deno's own class for what does not compile says nothing beside it.
    .replace(/^TypeError: SyntaxError: /, "SyntaxError: ");
  const place = placeOf(error.message, module);
  return place === undefined ? trace : `${trace}\n    at ${place}`;
}

function isBuildMessage(error: unknown): error is BuildMessage {
  const name = (error as Error | null)?.name;
  return name === "BuildMessage" || name === "ResolveMessage";
}

function buildTrace({ message, position, specifier, referrer }: BuildMessage): string {
  if (position) {
    const { file, line, column, lineText } = position;
    const margin = `${" ".repeat(String(line).length)} |`;
    const mark = `${margin} ${" ".repeat(column - 1)}^`;
    return `SyntaxError: ${message}\n${margin}\n${line} | ${lineText}\n${mark}\n    at ${file}:${line}:${column}`;
  }
  const source = referrer === undefined ? undefined : read(referrer);
  if (referrer === undefined || source === undefined) return `Error: ${message}`;
  return `Error: ${message}\n    at ${placeAt(referrer, source, source.search(quoted(specifier ?? "")))}`;
}

/** Bun's words, of which the second name the module as its importer does. */
const MISSING_EXPORT = /^export (?:named )?'(.+)' not found in (?:module )?'(.+)'/i;

/** Where a missing export is imported, or a JSON file is broken: Bun does not say the one, neither says the other. */
function placeOf(message: string, module: string): string | undefined {
  const isJsonError = /\bJSON\b/.test(message);
  const [, name, target] = MISSING_EXPORT.exec(message) ?? [];
  if (name === undefined && !isJsonError) return undefined;
  const isWrong = (file: string, source: string): number => {
    if (name !== undefined) {
      const from = importsOf(source).find((each) =>
        each === target || importedFiles(each, file).includes(target)
      );
      if (from === undefined) return -1;
      return source.search(new RegExp(`(?<![\\w$])${escaped(name)}(?![\\w$])[^;]*?${quoted(from).source}`));
    }
    return file.endsWith(".json") && !isJson(source) ? 0 : -1;
  };
  const seen = new Set<string>();
  const files = module.startsWith("file:") ? [fileURLToPath(module)] : [];
  for (let file = files.pop(); file !== undefined; file = files.pop()) {
    const source = seen.has(file) ? undefined : read(file);
    seen.add(file);
    if (source === undefined) continue;
    const at = isWrong(file, source);
    if (at >= 0) return placeAt(file, source, at);
    if (isCode(file)) files.push(...importsOf(source).flatMap((each) => importedFiles(each, file)));
  }
  return undefined;
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

/** `FILE:LINE:COLUMN` of a position in a file's text. */
function placeAt(file: string, source: string, at: number): string {
  const before = source.slice(0, Math.max(0, at)).split("\n");
  return `${file}:${before.length}:${before.at(-1)!.length + 1}`;
}

function quoted(text: string): RegExp {
  return new RegExp(`["'\`]${escaped(text)}["'\`]`);
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
