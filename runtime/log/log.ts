/**
 * Sets logging up for the command line. The rest of the code only asks LogTape for loggers of `["celeriac", ...]`, so
 * that a program which uses the library decides by itself what becomes of its lines.
 */
import { configureSync, type LogLevel, type LogRecord } from "@logtape/logtape";
import type { Clock } from "../clock.ts";
import { LineWriter, type WriteBytes } from "./line_writer.ts";
import { jsonFormat } from "./log_json.ts";
import { textFormat } from "./log_text.ts";

/** How lines look. */
export type LogFormat = "text" | "json";

/** The levels of `--loglevel`, as Celery names them. */
export const logLevels = ["debug", "info", "warning", "error", "critical"] as const;
/** One of {@linkcode logLevels}. */
export type CeleryLogLevel = typeof logLevels[number];

/** What {@linkcode setUpLog} is told. */
export interface LogOptions {
  readonly level: CeleryLogLevel;
  readonly format: LogFormat;
  /** Colours for a terminal; text format only. */
  readonly color: boolean;
  readonly write: WriteBytes;
  readonly clock: Clock;
}

/** Logging that was set up. */
export interface Log {
  /** Writes text as it is, between the lines. */
  write(text: string): void;
  /** Resolves when all lines logged so far are out. */
  flush(): Promise<void>;
}

/** Sends all lines of `level` and above to `write`, in place of what was set up before. */
export function setUpLog({ level, format, color, write, clock }: LogOptions): Log {
  const line = format === "json" ? jsonFormat : textFormat(color);
  const droppedLine = (count: number) => line(droppedRecord(count, clock.now()));
  const writer = new LineWriter({ write, clock, droppedLine });
  const lowestLevel: LogLevel = level === "critical" ? "fatal" : level;
  configureSync({
    reset: true,
    sinks: { out: (record: LogRecord) => writer.push(line(record)) },
    loggers: [
      { category: "celeriac", lowestLevel, sinks: ["out"] },
      { category: ["logtape", "meta"], lowestLevel: "warning", sinks: ["out"] },
    ],
  });
  return { write: (text) => writer.push(text), flush: () => writer.flush() };
}

function droppedRecord(count: number, timestamp: number): LogRecord {
  const text = `${count} log lines dropped: they are read more slowly than they are written`;
  return {
    category: ["celeriac", "log"],
    level: "warning",
    message: [text],
    rawMessage: text,
    timestamp,
    properties: {},
  };
}
