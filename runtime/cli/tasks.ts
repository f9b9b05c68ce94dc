/** `celeriac tasks`: what task modules offer, without running any of it. */
import { Command } from "commander";
import { getLogger } from "@logtape/logtape";
import { systemClock } from "../clock.ts";
import type { TaskDescription } from "../isolate/task_definition.ts";
import { withExamples } from "./examples.ts";
import { CommandError, ExitCode } from "./exit_codes.ts";
import { collect } from "./flags.ts";
import { open } from "./opening.ts";
import { printJson, table } from "./table.ts";

interface Flags {
  readonly include?: readonly string[];
  readonly prefix?: string;
  readonly json?: true;
}

/** Makes the command. */
export function tasksCommand(): Command {
  const command = new Command("tasks")
    .summary("list the tasks of modules")
    .description(
      "Lists the tasks of modules: names, parameters, options. The modules are loaded, no task is run.",
    )
    .argument("[modules...]", "more task modules, beside those of -A")
    .option("-I, --include <module>", "one more task module; may be repeated", collect)
    .option("--prefix <name>", "put in front of every task's name, with a dot")
    .option("-j, --json", "as JSON")
    .action(list);
  return withExamples(command, [
    ["celeriac tasks -A tasks", "all tasks below the folder tasks"],
    ["celeriac tasks -A tasks/math.ts --json", "one module, as JSON"],
    ["celeriac tasks -A 'services/*/tasks.ts' --prefix shop", "a glob; names begin with shop."],
  ]);
}

async function list(modules: string[], _flags: unknown, command: Command): Promise<void> {
  const { flags, settings } = await open<Flags>(command);
  const patterns = [...flags.app, ...modules, ...(flags.include ?? []), ...settings.include];
  if (patterns.length === 0) {
    throw new CommandError(
      "no task modules: name them with -A, as in celeriac tasks -A tasks",
      ExitCode.USAGE,
    );
  }
  const tasks = [...await describe(patterns, flags.prefix)].sort((a, b) => a.name < b.name ? -1 : 1);
  if (flags.json) return printJson(tasks);
  const rows = tasks.map(({ name, params, options, module }) => [
    name,
    params === null ? "-" : params.join(", "),
    Object.entries(options).filter(([key]) => key !== "name" && key !== "params")
      .map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(" ") || "-",
    module,
  ]);
  console.log(table(["TASK", "PARAMETERS", "OPTIONS", "MODULE"], rows));
}

/** Loads the modules in an isolate, as a worker does, so that what they print or end does not reach this command. */
async function describe(patterns: readonly string[], prefix?: string): Promise<readonly TaskDescription[]> {
  const [{ findModules }, { WebWorkerIsolate }] = await Promise.all([
    import("../isolate/load_modules.ts"),
    import("../isolate/web_worker.ts"),
  ]);
  const log = getLogger(["celeriac", "task"]);
  const isolate = new WebWorkerIsolate(
    {
      modules: await findModules(patterns, { prefix }),
      slots: 1,
      hostname: "",
      pid: 0,
      logSuccess: false,
      client: {},
      defaults: {
        ignoreResult: false,
        storeErrorsEvenIfIgnored: false,
        storeUndefined: true,
        trackStarted: false,
        resultExpires: 0,
        resultExtended: false,
        acceptContent: [],
        maxBodyBytes: 0,
      },
    },
    {
      finished: () => {},
      state: () => {},
      log: ({ level, text, task, id, own }) => log[level](text, { task, id, own }),
      died: () => {},
    },
    systemClock,
  );
  try {
    return await isolate.start();
  } finally {
    isolate.terminate();
  }
}
