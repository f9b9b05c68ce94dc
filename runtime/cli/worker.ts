/** `celeriac worker`: runs the tasks of some queues until it is told to stop. */
import { availableParallelism, hostname } from "node:os";
import { Command, Option } from "commander";
import { getLogger } from "@logtape/logtape";
import { embeddedModules } from "../isolate/embedded_modules.ts";
import { maskUrl } from "../transport/url.ts";
import { banner, type BannerFacts } from "./banner.ts";
import { BeatProcess, SCHEDULE_FLAG, scheduleFiles } from "./beat.ts";
import { withExamples } from "./examples.ts";
import { CommandError, ExitCode } from "./exit_codes.ts";
import { collect, count, list, seconds } from "./flags.ts";
import { addLimitFlags, type LimitFlags, withLimits } from "./limit_flags.ts";
import { nodeName } from "./node_name.ts";
import { chosenQueues, open, type Opening, sharedPlaces } from "./opening.ts";
import { addSandboxFlags, type SandboxFlags, withSandbox } from "./sandbox_flags.ts";
import { StopSignals } from "./stop_signals.ts";

interface Flags extends LimitFlags, SandboxFlags {
  readonly queues?: readonly string[];
  readonly excludeQueues?: readonly string[];
  readonly concurrency?: number;
  readonly slots?: number;
  readonly hostname: string;
  readonly include?: readonly string[];
  readonly prefix?: string;
  readonly drain?: true;
  readonly reload?: true;
  readonly beat?: true;
  readonly schedule?: readonly string[];
  readonly grace?: number;
}

const log = getLogger(["celeriac", "worker"]);

/** Makes the command. */
export function workerCommand(): Command {
  const command = new Command("worker")
    .summary("run the tasks of some queues")
    .description(
      "Runs the tasks of some queues until it is told to stop. SIGTERM and SIGINT (Ctrl+C) let it finish what runs " +
        "and hand back what did not start; a second one, or SIGQUIT, ends it at once, and what ran is run again.",
    )
    .argument("[modules...]", "more task modules, beside those of -A")
    .option("-Q, --queues <names>", "queues to serve (default: taskQueues, taskDefaultQueue)", list)
    .option("-X, --exclude-queues <names>", "not these", list)
    .option("-c, --concurrency <number>", "isolates (default: workerConcurrency, the number of cores)", count)
    .option("--slots <number>", "tasks at once in each isolate (default: workerSlots, 1)", count);
  addSandboxFlags(addLimitFlags(command))
    .addOption(
      new Option("--queue-type <type>", "of queues declared on RabbitMQ (default: taskDefaultQueueType)")
        .choices(["classic", "quorum"]),
    )
    .option("-n, --hostname <name>", "node name; %h host, %n its first part, %d its domain", "celery@%h")
    .option("-I, --include <module>", "one more task module; may be repeated", collect)
    .option("--prefix <name>", "put in front of every task's name, with a dot")
    .option("--drain", "end when the queues hold nothing ready and all that was taken is settled")
    .option(
      "--grace <seconds>",
      "let what runs end for so long, then end it (default: as long as it takes)",
      seconds,
    )
    .option("--statedb <file>", "where revoked tasks are kept on RabbitMQ (default: workerStateDb)")
    .option("-B, --beat", "send the periodic tasks of the schedule, too: any number of workers may")
    .option(...SCHEDULE_FLAG, collect)
    .option(
      "--reload",
      "for development: load task modules anew when they, or what they import, have changed",
    )
    .action(run);
  return withExamples(command, [
    ["celeriac worker -A tasks/math.ts", "one module, on the default broker"],
    [
      "celeriac worker -A tasks -b redis://localhost -c 4 -Q mail,images",
      "a folder, four isolates, two queues",
    ],
    ["celeriac worker -A tasks --slots 100", "many tasks that mostly wait"],
    ["celeriac worker -A tasks --time-limit 300 --max-tasks-per-child 1000", "nothing runs for ever"],
    ["celeriac worker -A tasks --sandbox", "no task reaches more than its permissions name"],
    ["celeriac worker -A tasks --drain", "end when all is done"],
    ["celeriac worker -A tasks -B", "and send what is due by the schedules that the tasks export"],
    ["celeriac worker -A tasks --reload", "use changed tasks at once, while you write them"],
  ]);
}

async function run(modules: string[], _flags: unknown, command: Command): Promise<void> {
  const opening = await open<Flags>(command, { loglevel: "info" });
  const { flags, settings, loglevel } = opening;
  const facts = {
    hostname: nodeName(flags.hostname, hostname()),
    settings: withSandbox(withLimits(sharedPlaces(settings), flags), flags),
    queues: chosenQueues(settings, flags.queues, flags.excludeQueues),
    concurrency: flags.concurrency ?? settings.workerConcurrency ?? availableParallelism(),
    slots: flags.slots ?? settings.workerSlots,
  };
  if (flags.reload && embeddedModules().length > 0) {
    throw new CommandError(
      "--reload: the tasks inside an executable can't be reloaded; leave it out",
      ExitCode.USAGE,
    );
  }
  if (flags.schedule !== undefined && !flags.beat) {
    throw new CommandError("-s names a schedule for -B: add that, or leave it out", ExitCode.USAGE);
  }
  const named = [...flags.app, ...modules, ...(flags.include ?? [])];
  const { Worker } = await import("../worker/worker.ts");
  const worker = new Worker({
    ...facts,
    modules: named,
    prefix: flags.prefix,
    drain: flags.drain,
    reload: flags.reload,
    grace: flags.grace,
    logSuccess: loglevel === "info" || loglevel === "debug",
  });
  const signals = new StopSignals(worker);
  let beat: BeatProcess | undefined;
  try {
    if (flags.beat) {
      beat = await BeatProcess.start({
        settings: facts.settings,
        modules: [...settings.include, ...named, ...scheduleFiles(flags.schedule)],
        prefix: flags.prefix,
        reload: flags.reload ?? false,
      });
    }
    await signals.start();
    introduce(opening, { ...facts, tasks: worker.tasks, defaultBroker: isDefaultBroker(opening) });
    await signals.done();
  } finally {
    signals.release();
    await beat?.end();
  }
  const { succeeded, failed, dead } = worker.counts;
  log.info(`${facts.hostname} has stopped: ${succeeded} succeeded, ${failed} failed, ${dead} dead letters.`);
}

function introduce({ flags, log: output, logFormat }: Opening<Flags>, facts: BannerFacts): void {
  const { hostname, settings, queues, concurrency, slots, tasks } = facts;
  if (logFormat === "text" && !flags.quiet) output.write(banner(facts));
  log.info(`${hostname} ready.`, {
    node: hostname,
    broker: maskUrl(settings.brokerUrl),
    backend: settings.resultBackend === null ? null : maskUrl(settings.resultBackend),
    queues,
    isolates: concurrency,
    slots,
    tasks: tasks.map(({ name }) => name),
  });
}

function isDefaultBroker({ layers }: Opening<Flags>): boolean {
  return layers.every(({ settings }) => settings.brokerUrl === undefined);
}
