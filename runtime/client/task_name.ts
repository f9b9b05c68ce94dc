/**
 * What a task is called when its options don't say: as a worker would call it that was given its file, so that
 * `.delay()` works with `export const add = task(...)` as it stands. Known before the call is **published**.
 */
import { readFileSync } from "node:fs";
import { basename, extname } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** A place in a source file. */
export interface SourcePlace {
  /** `file:` URL. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
}

/** Where the function that called this one was called, outside of `own`; undefined where the runtime won't say. */
export function callingPlace(own: string): SourcePlace | undefined {
  const frames = new Error().stack?.matchAll(FRAME) ?? [];
  for (const [, place, line, column] of frames) {
    const file = place.startsWith("file:") ? place : pathToFileURL(place).href;
    if (file !== own && file !== import.meta.url) return { file, line: Number(line), column: Number(column) };
  }
  return undefined;
}

// Of absolute places only: what is inside an executable has relative ones, and no source there.
const FRAME = /^\s*at (?:async )?(?:.*? \()?((?:file:\/\/)?\/.*?):(\d+):(\d+)\)?$/gm;

/**
 * `<basename>.<export>` of a task whose call of `task()` stands right after `export const NAME =`, as it mostly does.
 * Read from the source text, since a file can't import itself while its own top-level `await` is not over.
 */
export function declaredName(place: SourcePlace): string | undefined {
  let lines: string[];
  try {
    lines = readFileSync(fileURLToPath(place.file), "utf8").split("\n").slice(0, place.line);
  } catch {
    return undefined;
  }
  const last = lines.pop() ?? "";
  const before = [...lines.slice(-LINES_BEFORE), last.slice(0, place.column - 1)].join("\n");
  const name = DECLARATION.exec(before)?.[1];
  return name === undefined ? undefined : taskName(place.file, name);
}

// Ends where the call begins, which in `celeriac.task(...)` is at `task`.
const DECLARATION =
  /(?:^|[;}\s])export\s+(?:const|let|var)\s+([\p{L}\p{N}_$]+)\s*(?::[^=;]*)?=\s*(?:[\w$]+\s*\.\s*)*$/u;
/** A declaration's name and type may stand some lines above the call. */
const LINES_BEFORE = 5;

/**
 * `<basename>.<export>` of a task, by the exports of the file that made it.
 *
 * @throws {TypeError} When the file does not export it.
 */
export async function exportedName(task: unknown, file: string | undefined): Promise<string> {
  if (file !== undefined) {
    const exports: Record<string, unknown> = await import(file);
    const members = [...Object.entries(exports), ...Object.entries(exports.default ?? {})];
    const found = members.find(([, value]) => value === task);
    if (found !== undefined) return taskName(file, found[0]);
  }
  throw new TypeError(
    `a task${
      file === undefined ? "" : ` of ${file}`
    } has no name: export it from its file, or give it one with task({ name }, fn)`,
  );
}

function taskName(file: string, name: string): string {
  const path = fileURLToPath(file);
  return `${basename(path, extname(path))}.${name}`;
}
