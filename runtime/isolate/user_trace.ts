/** Traces of task errors without the frames that are not the user's: part of **run**. */
import { fileURLToPath } from "node:url";
import { isOneFile } from "../platform.ts";
import { tracebackOf } from "../protocol/result_meta.ts";

/**
 * Where traces say that celeriac's own files lie. In an executable that is not where they are loaded from but where
 * they were when it was made, relative to the folder in which that was.
 */
function ownPlaces(): string[] {
  const folder = new URL("../", import.meta.url);
  if (!isOneFile) return [folder.href, fileURLToPath(folder)];
  const here = /([^\s(]+):\d+:\d+\)?$/m.exec(new Error().stack ?? "")?.[1];
  if (here === undefined) return [];
  const made = here.replace(/(?:isolate\/)?[^/]+$/, "");
  // The bundler knows no place of what it has written itself.
  return [`(${made}`, `at ${made}`, "(unknown:"];
}

/** Frames of celeriac itself, and of the runtimes between it and a task. */
const FOREIGN = [
  ...ownPlaces(),
  "AsyncLocalStorage.run",
  "(ext:",
  "(native:",
  "(node:",
  "node:async_hooks",
];

/** For what a task has thrown and nobody can read: a getter of it throws `why`, perhaps. */
export function unreadable(why: unknown): Error {
  let reason = "";
  try {
    reason = `: ${String(why)}`;
  } catch {
    // Nor can this.
  }
  const error = new Error(`the task has thrown what can't be read${reason}`);
  // Where traces are made by the task's own code, that may be what fails.
  return Object.defineProperty(error, "stack", { value: `Error: ${error.message}` });
}

/** The trace of an error and of what caused it, down to where task code begins; null for what has none. */
export function userTrace(error: unknown): string | null {
  const trace = tracebackOf(error);
  if (trace === null) return null;
  const lines = trace.split("\n").filter((line) =>
    !/^\s+at /.test(line) || !FOREIGN.some((part) => line.includes(part))
  );
  return lines.join("\n").trimEnd();
}
