/** A log record as one line of JSON, for programs. */
import type { LogRecord } from "@logtape/logtape";
import { messageOf, plain } from "./message.ts";

/**
 * `{"time", "level", "logger", "message", ...properties}`; a property that has one of the four names gets a `_` after
 * it. `level` is one of debug, info, warning, error, critical.
 */
export function jsonFormat(record: LogRecord): string {
  const line: Record<string, unknown> = {
    time: new Date(record.timestamp).toISOString(),
    level: record.level === "fatal" ? "critical" : record.level,
    logger: record.category.join("."),
    message: messageOf(record),
  };
  for (const [key, value] of Object.entries(record.properties)) {
    line[Object.hasOwn(line, key) ? `${key}_` : key] = plain(value);
  }
  return `${JSON.stringify(line)}\n`;
}
