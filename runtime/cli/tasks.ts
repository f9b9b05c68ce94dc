/** `celeriac tasks`: what task modules offer, without running any of it. */
import { Command } from "commander";
import { describeTasks } from "./describe_tasks.ts";
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
  const { findModules } = await import("../isolate/load_modules.ts");
  const found = await findModules(patterns, { prefix: flags.prefix });
  if (found.length === 0) {
    throw new CommandError(
      "no task modules: name them with -A, as in celeriac tasks -A tasks",
      ExitCode.USAGE,
    );
  }
  const tasks = [...await describeTasks(found, settings.workerSandbox)].sort((a, b) =>
    a.name < b.name ? -1 : 1
  );
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
