/** A log record as a line for people: time, level, which task, message. */
import type { LogLevel, LogRecord } from "@logtape/logtape";
import { messageOf } from "./message.ts";

const names: Record<LogLevel, string> = {
  trace: "TRACE",
  debug: "DEBUG",
  info: "INFO",
  warning: "WARNING",
  error: "ERROR",
  fatal: "CRITICAL",
};

const colors: Record<LogLevel, string> = {
  trace: "2",
  debug: "2",
  info: "36",
  warning: "33",
  error: "31",
  fatal: "1;31",
};

/** Makes the function that formats records; with `color` for a terminal that shows it. */
export function textFormat(color: boolean): (record: LogRecord) => string {
  const paint = (code: string, text: string) => color ? `\x1b[${code}m${text}\x1b[0m` : text;
  const levels = Object.fromEntries(
    Object.entries(names).map(([level, name]) => [level, paint(colors[level as LogLevel], name.padEnd(8))]),
  ) as Record<LogLevel, string>;
  const localTime = timeFormat();
  return (record) => {
    const time = paint("2", localTime(record.timestamp));
    return `${time} ${levels[record.level]} ${taskOf(record, paint)}${printable(messageOf(record))}${
      traceOf(record)
    }\n`;
  };
}

/**
 * `math.add[099a8057]: ` before what a task says itself. The last digits of the id, because ids that grow with time
 * begin alike for a minute.
 */
function taskOf({ properties }: LogRecord, paint: (code: string, text: string) => string): string {
  if (properties.own !== true || typeof properties.task !== "string" || properties.task === "") return "";
  return paint("35", `${printable(properties.task)}[${printable(String(properties.id)).slice(-8)}]`) + ": ";
}

function traceOf({ properties }: LogRecord): string {
  const { error } = properties;
  if (!(error instanceof Error)) return "";
  return `\n    ${printable(error.stack ?? String(error))}`;
}

/** Further lines are set in, and control characters are spelt out: no message can look like another line. */
function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  if (!/[\x00-\x08\x0a-\x1f\x7f-\x9f]/.test(text)) return text;
  return text.trimEnd()
    .replace(/\r?\n/g, "\n    ")
    // deno-lint-ignore no-control-regex
    .replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** `2026-11-21 09:13:02.123` in local time. A second's text is kept for the lines that share it. */
function timeFormat(): (timestamp: number) => string {
  let second = NaN;
  let text = "";
  const two = (value: number) => String(value).padStart(2, "0");
  return (timestamp) => {
    const whole = Math.floor(timestamp / 1000);
    if (whole !== second) {
      const date = new Date(timestamp);
      second = whole;
      text = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
        `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.`;
    }
    return text + String(Math.floor(timestamp) - whole * 1000).padStart(3, "0");
  };
}
