/** Flags that all commands share, and what the values of flags may look like. Letters are Celery's. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { type CeleryLogLevel, type LogFormat, logLevels } from "../log/log.ts";

/** What the shared flags say. */
export interface SharedFlags {
  readonly app: readonly string[];
  readonly broker?: string;
  readonly resultBackend?: string;
  /** Of the worker alone. */
  readonly queueType?: "classic" | "quorum";
  /** Of the worker alone. */
  readonly statedb?: string;
  readonly config?: string;
  readonly workdir?: string;
  readonly loglevel?: CeleryLogLevel;
  readonly logFormat?: LogFormat;
  readonly quiet?: true;
  readonly color: boolean;
}

/** Puts the shared flags on the program; they may stand before and after a command's name. */
export function addSharedFlags(program: Command): Command {
  return program
    .addOption(
      new Option("-A, --app <module>", "task modules: a file, folder or glob; repeatable")
        .argParser(collect).default([], "none"),
    )
    .option("-b, --broker <url>", "broker (default: CELERIAC_BROKER_URL, or sqlite:./celeriac.db)")
    .option("--result-backend <url>", "result store (default: CELERIAC_RESULT_BACKEND, or the broker)")
    .option("--config <file>", "settings (default: celeriac.json or celeriac.ts, if there)")
    .option("--workdir <folder>", "change to this folder first")
    .addOption(
      new Option("-l, --loglevel <level>", "default: info for a worker, else warning")
        .choices(logLevels).argParser(logLevel),
    )
    .addOption(
      new Option("--log-format <format>", "default: text in a terminal, json otherwise")
        .choices(["text", "json"]),
    )
    .option("-q, --quiet", "only what was asked for: no banner, no notes")
    .option("-C, --no-color", "no colours");
}

/** For a flag that may be repeated. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

/** `a,b` or the flag repeated. */
export function list(value: string, before: readonly string[] = []): string[] {
  const items = value.split(",").map((item) => item.trim());
  if (items.includes("")) throw new InvalidArgumentError("Write names with commas between them: a,b");
  return [...before, ...items];
}

/** A whole number, 1 or more. */
export function count(value: string): number {
  if (!/^[1-9][0-9]{0,8}$/.test(value)) {
    throw new InvalidArgumentError("It must be a whole number, 1 or more.");
  }
  return Number(value);
}

/** 0 to 9. */
export function priority(value: string): number {
  if (!/^[0-9]$/.test(value)) throw new InvalidArgumentError("It must be a whole number from 0 to 9.");
  return Number(value);
}

/** Seconds, 0 or more. */
export function seconds(value: string): number {
  if (!/^([0-9]+\.?[0-9]*|\.[0-9]+)$/.test(value)) {
    throw new InvalidArgumentError("It must be a number of seconds.");
  }
  return Number(value);
}

/** Seconds, more than 0. */
export function secondsAbove0(value: string): number {
  const number = seconds(value);
  if (number === 0) throw new InvalidArgumentError("It must be more than 0 seconds.");
  return number;
}

/** A time as ISO 8601; without an offset it is UTC, as in Celery. */
export function time(value: string): Date {
  const local = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?$/.test(value);
  const date = new Date(local && value.length > 10 ? `${value.replace(" ", "T")}Z` : value);
  if (!/^\d{4}-/.test(value) || Number.isNaN(date.getTime())) {
    throw new InvalidArgumentError(
      "It must be a time as 2026-12-24T18:00:00Z (UTC where no offset is given).",
    );
  }
  return date;
}

/** Seconds from now, or a time. */
export function secondsOrTime(value: string): number | Date {
  return /^[0-9.]+$/.test(value) ? seconds(value) : time(value);
}

function logLevel(value: string): CeleryLogLevel {
  const level = logLevels.find((name) => name === value.toLowerCase());
  if (level === undefined) throw new InvalidArgumentError(`It must be one of ${logLevels.join(", ")}.`);
  return level;
}
