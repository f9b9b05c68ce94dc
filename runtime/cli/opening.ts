/** What every command begins with: its flags, the settings, the log, and an app where one is needed. */
import process from "node:process";
import type { Command } from "commander";
import type { App } from "../client/app.ts";
import { systemClock } from "../clock.ts";
import { readEnvironment } from "../config/environment.ts";
import { resolveSettings, type SettingsLayer } from "../config/resolve.ts";
import type { GivenSettings, Settings } from "../config/settings.ts";
import { readSettingsFile } from "../config/settings_file.ts";
import { type CeleryLogLevel, type Log, type LogFormat, setUpLog } from "../log/log.ts";
import { writeStandardError } from "../platform.ts";
import { CommandError, ExitCode } from "./exit_codes.ts";
import type { SharedFlags } from "./flags.ts";

/** A command, opened. */
export interface Opening<Flags> {
  readonly flags: Flags & SharedFlags;
  readonly settings: Settings;
  /** Where the settings come from, the strongest last. */
  readonly layers: readonly SettingsLayer[];
  readonly log: Log;
  readonly logFormat: LogFormat;
  readonly loglevel: CeleryLogLevel;
}

/** What a command wants otherwise than the others. */
export interface OpeningOptions {
  /** The level of the log without `-l`. Default warning. */
  readonly loglevel?: CeleryLogLevel;
  /** Settings that stand for flags of this command alone. */
  readonly settings?: GivenSettings;
}

let opened: Log | undefined;

/** Waits for the last lines of the log of the command that ran. */
export async function flushLog(): Promise<void> {
  await opened?.flush();
}

/**
 * Reads flags and settings and sets the log up.
 *
 * @throws {SettingsError} For a setting that does not exist or has a value it can't have.
 */
export async function open<Flags>(command: Command, options: OpeningOptions = {}): Promise<Opening<Flags>> {
  const flags = command.optsWithGlobals<Flags & SharedFlags>();
  if (flags.workdir !== undefined) changeTo(flags.workdir);
  const environment = readEnvironment();
  const loglevel = flags.loglevel ?? options.loglevel ?? "warning";
  const logFormat = flags.logFormat ?? (process.stderr.isTTY ? "text" : "json");
  const color = flags.color && !environment.noColor && Boolean(process.stderr.isTTY);
  const log = opened = setUpLog({
    level: loglevel,
    format: logFormat,
    color,
    write: writeStandardError,
    clock: systemClock,
  });
  const file = await readSettingsFile(process.cwd(), flags.config);
  const layers: SettingsLayer[] = [
    ...(file === null ? [] : [file]),
    { from: "the environment", settings: environment.settings },
    { from: "the command line", settings: { ...urls(flags), ...options.settings } },
  ];
  return { flags, settings: resolveSettings(...layers), layers, log, logFormat, loglevel };
}

/**
 * Settings by which a command can meet other processes.
 *
 * @throws {CommandError} For `memory:`, which nobody outside the command would ever see.
 */
export function sharedPlaces(settings: Settings): Settings {
  for (const url of [settings.brokerUrl, settings.resultBackend]) {
    if (!/^memory:/i.test(url ?? "")) continue;
    throw new CommandError(
      `${url} lives within one process, for tests: commands need sqlite:PATH or redis://HOST`,
      ExitCode.USAGE,
    );
  }
  return settings;
}

/** Opens a command that talks to the broker through an app, runs it, and closes the app. */
export async function withApp<Flags>(
  command: Command,
  run: (app: App, opening: Opening<Flags>) => Promise<void>,
  options?: OpeningOptions,
): Promise<void> {
  const opening = await open<Flags>(command, options);
  const { App } = await import("../client/app.ts");
  const app = new App(sharedPlaces(opening.settings));
  try {
    await run(app, opening);
  } finally {
    await app.disconnect();
  }
}

/** For commands behind which a person waits: a broker that is away is said so sooner. */
export const soon: OpeningOptions = { settings: { publishTimeout: 2 } };

/** The queues a command is about: those that are named, else those of the settings, without the excluded ones. */
export function chosenQueues(
  settings: Settings,
  named?: readonly string[],
  excluded: readonly string[] = [],
): string[] {
  const all = new Set(named ?? settings.taskQueues ?? [settings.taskDefaultQueue]);
  const queues = [...all].filter((queue) => !excluded.includes(queue));
  if (queues.length === 0) {
    throw new CommandError(`no queue is left without ${excluded.join(", ")}`, ExitCode.USAGE);
  }
  return queues;
}

function urls({ broker, resultBackend, queueType, statedb }: SharedFlags): GivenSettings {
  return {
    ...(broker === undefined ? {} : { brokerUrl: broker }),
    ...(resultBackend === undefined ? {} : { resultBackend }),
    ...(queueType === undefined ? {} : { taskDefaultQueueType: queueType }),
    ...(statedb === undefined ? {} : { workerStateDb: statedb }),
  };
}

function changeTo(folder: string): void {
  try {
    process.chdir(folder);
  } catch (cause) {
    throw new CommandError(
      `can't change to --workdir ${folder}: ${(cause as Error).message}`,
      ExitCode.USAGE,
    );
  }
}
