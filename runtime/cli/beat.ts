/** `celeriac beat`: sends the tasks of a schedule at their times until it is told to stop; and the beat of `worker -B`. */
import { Command } from "commander";
import { getLogger } from "@logtape/logtape";
import type { Beat, BeatEntry } from "../beat/beat.ts";
import { systemClock } from "../clock.ts";
import type { Settings } from "../config/settings.ts";
import { embeddedModules } from "../isolate/embedded_modules.ts";
import { onSignal } from "../platform.ts";
import { maskUrl } from "../transport/url.ts";
import { withExamples } from "./examples.ts";
import { CommandError, ExitCode } from "./exit_codes.ts";
import { collect, seconds, secondsAbove0 } from "./flags.ts";
import { open, type Opening, sharedPlaces } from "./opening.ts";
import { printJson, table } from "./table.ts";

interface Flags {
  readonly schedule?: readonly string[];
  readonly include?: readonly string[];
  readonly prefix?: string;
  readonly maxInterval?: number;
  readonly lease?: number;
  readonly reload?: true;
  readonly list?: true;
  readonly json?: true;
}

const log = getLogger(["celeriac", "beat"]);

/** What `-s` of this command and of the worker says. */
export const SCHEDULE_FLAG = [
  "-s, --schedule <file>",
  "a schedule in JSON or TypeScript; may be repeated",
] as const;

/** Makes the command. */
export function beatCommand(): Command {
  const command = new Command("beat")
    .summary("send the tasks of a schedule at their times")
    .description(
      "Sends the tasks of a schedule at their times until it is told to stop. The schedule is what task modules export as " +
        "schedule, what -s names, and the setting beatSchedule. Any number of schedulers may run: each time is sent once, " +
        "and when one dies another goes on. Last times are kept by the broker.",
    )
    .argument("[modules...]", "more task modules, beside those of -A")
    .option(...SCHEDULE_FLAG, collect)
    .option("-I, --include <module>", "one more task module; may be repeated", collect)
    .option("--prefix <name>", "put in front of every task's name, with a dot, as the workers have it")
    .option("--max-interval <seconds>", "look at the clock so often (default: beatMaxLoopInterval)", seconds)
    .option(
      "--lease <seconds>",
      "take over from a dead scheduler after this (default: beatLease)",
      secondsAbove0,
    )
    .option("--reload", "for development: load modules and schedule files anew when they have changed")
    .option("--list", "show the schedule with its next times, and end")
    .option("-j, --json", "with --list: as JSON")
    .action(run);
  return withExamples(command, [
    ["celeriac beat -A tasks", "what the modules in the folder tasks export as schedule"],
    ["celeriac beat -s schedule.json -b redis://localhost", "a schedule in JSON, whose tasks are anybody's"],
    ["celeriac beat -A tasks --list", "the next times, each in its zone"],
    ["celeriac worker -A tasks -B", "a worker and a scheduler in one process"],
  ]);
}

async function run(modules: string[], _flags: unknown, command: Command): Promise<void> {
  const { maxInterval, lease } = command.opts<Flags>();
  const opening = await open<Flags>(command, {
    loglevel: "info",
    settings: {
      ...(maxInterval === undefined ? {} : { beatMaxLoopInterval: maxInterval }),
      ...(lease === undefined ? {} : { beatLease: lease }),
    },
  });
  const { flags } = opening;
  const settings = sharedPlaces(opening.settings);
  if (flags.list) return await list(opening, modules);
  const beat = await BeatProcess.start({
    settings,
    modules: modulesOf(opening, modules),
    prefix: flags.prefix,
    reload: flags.reload ?? false,
  });
  const { entries } = beat;
  if (entries.length === 0) {
    await beat.end();
    throw new CommandError(
      "the schedule is empty: export one from a task module (-A), name a file (-s), or set beatSchedule",
      ExitCode.USAGE,
    );
  }
  log.info(`beat ready: ${entries.length} ${entries.length === 1 ? "entry" : "entries"}.`, {
    broker: maskUrl(settings.brokerUrl),
    entries: entries.map(({ name }) => name),
  });
  await beat.done;
  log.info("beat has stopped.");
}

/** All that may hold a schedule. */
function modulesOf({ flags, settings }: Opening<Flags>, modules: readonly string[]): string[] {
  return [
    ...settings.include,
    ...flags.app,
    ...modules,
    ...(flags.include ?? []),
    ...scheduleFiles(flags.schedule),
  ];
}

/** The files of `-s`. @throws {CommandError} For what Celery keeps under that flag. */
export function scheduleFiles(files: readonly string[] = []): readonly string[] {
  const wrong = files.find((file) => !/\.(json|[cm]?[jt]s)$/.test(file));
  if (wrong === undefined) return files;
  throw new CommandError(
    `-s ${wrong}: it names a schedule, a .json or .ts file; last times are kept by the broker, without a file`,
    ExitCode.USAGE,
  );
}

/** A scheduler that ends with its process. */
export class BeatProcess {
  readonly #beat: Beat;
  #reloader: { close(): void } | undefined;
  readonly #releases: (() => void)[];

  private constructor(beat: Beat) {
    this.#beat = beat;
    // A second one ends it as well: it never takes long.
    const names = ["SIGINT", "SIGTERM", "SIGQUIT"] as const;
    this.#releases = names.map((name) => onSignal(name, () => beat.stop()));
    void beat.done.then(() => this.#release());
  }

  /** Loads the schedule and begins to send. @throws As {@linkcode Beat.start}. */
  static async start(
    options: {
      readonly settings: Settings;
      readonly modules: readonly string[];
      readonly prefix?: string;
      readonly reload: boolean;
    },
  ): Promise<BeatProcess> {
    const { reload, ...rest } = options;
    if (reload && embeddedModules().length > 0) {
      throw new CommandError(
        "--reload: the tasks inside an executable can't be reloaded; leave it out",
        ExitCode.USAGE,
      );
    }
    const { Beat } = await import("../beat/beat.ts");
    const started = new BeatProcess(new Beat(rest));
    try {
      await started.#beat.start();
      if (reload) await started.#reload(rest.modules, rest.prefix);
    } catch (error) {
      await started.end();
      throw error;
    }
    return started;
  }

  /** Its schedule. */
  get entries(): readonly BeatEntry[] {
    return this.#beat.entries;
  }

  /** Resolves when it has ended. */
  get done(): Promise<void> {
    return this.#beat.done;
  }

  /** Ends it; another scheduler goes on at once. */
  async end(): Promise<void> {
    await this.#beat[Symbol.asyncDispose]();
    this.#release();
  }

  async #reload(patterns: readonly string[], prefix: string | undefined): Promise<void> {
    const { Reloader } = await import("../worker/reload.ts");
    const reloader = new Reloader({
      patterns: patterns.filter((name) => !name.endsWith(".json")),
      files: patterns.filter((name) => name.endsWith(".json")),
      prefix,
      clock: systemClock,
      load: async (_modules, changed) => {
        await this.#beat.load();
        log.info(`Loaded the schedule anew: ${changed.join(", ")} changed.`);
      },
      failed: (error) =>
        log.error(`The schedule stays what it was: ${error instanceof Error ? error.message : error}`),
    });
    this.#reloader = reloader;
    await reloader.start();
  }

  #release(): void {
    this.#reloader?.close();
    for (const release of this.#releases) release();
  }
}

async function list(opening: Opening<Flags>, modules: readonly string[]): Promise<void> {
  const { flags, settings } = opening;
  const { Beat } = await import("../beat/beat.ts");
  const beat = new Beat({ settings, modules: modulesOf(opening, modules), prefix: flags.prefix });
  const entries = await beat.read().catch((error) => {
    if (error instanceof Error && error.name === "BrokerUnavailableError") {
      console.error(`${error.message}\nWithout the broker nobody knows the last times.`);
      return beat.entries;
    }
    throw error;
  });
  if (flags.json) return printJson(entries);
  if (entries.length === 0) return console.log("(no entries)");
  const shown = (time: Date | undefined, zone = settings.timezone) =>
    time === undefined ? "-" : `${inZone(time, zone)} ${zone}`;
  console.log(table(
    ["NAME", "TASK", "SCHEDULE", "LAST", "NEXT"],
    entries.map(({ name, task, schedule, timezone, last, next }) => [
      name,
      task,
      schedule,
      shown(last, timezone),
      shown(next, timezone),
    ]),
  ));
}

/** `2026-11-22 03:00:00` by a zone's clock. */
function inZone(time: Date, timeZone: string): string {
  // Swedes write dates as ISO 8601 does.
  return new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "medium" }).format(time);
}
