/** Traces of task errors without the frames that are not the user's: part of **run**. */
import { tracebackOf } from "../protocol/result_meta.ts";

/** Frames of celeriac itself, and of the runtimes between it and a task. */
const FOREIGN = [
  new URL("../", import.meta.url).href,
  new URL("../", import.meta.url).pathname,
  "AsyncLocalStorage.run",
  "(ext:",
  "(native:",
  "(node:",
  "node:async_hooks",
];

/** The trace of an error and of what caused it, down to where task code begins; null for what has none. */
export function userTrace(error: unknown): string | null {
  const trace = tracebackOf(error);
  if (trace === null) return null;
  const lines = trace.split("\n").filter((line) =>
    !/^\s+at /.test(line) || !FOREIGN.some((part) => line.includes(part))
  );
  return lines.join("\n").trimEnd();
}
