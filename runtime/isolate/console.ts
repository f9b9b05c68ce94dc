/** What task code prints: in an isolate every `console` line becomes a log line of its task (**run**). */
import { format } from "node:util";
import type { LogReport } from "./isolate.ts";

const LEVELS = {
  debug: "debug",
  trace: "debug",
  log: "info",
  info: "info",
  warn: "warning",
  error: "error",
} as const satisfies Record<string, LogReport["level"]>;

/** Sends what `console` prints to `write`, formatted as `console` would. */
export function captureConsole(write: (level: LogReport["level"], text: string) => void): void {
  for (const [method, level] of Object.entries(LEVELS)) {
    console[method as keyof typeof LEVELS] = (...values: unknown[]) => write(level, format(...values));
  }
}
