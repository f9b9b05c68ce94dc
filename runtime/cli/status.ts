/** `celeriac status`: which workers are alive. Its exit code serves as a health check. */
import { hostname } from "node:os";
import { Command } from "commander";
import { withExamples } from "./examples.ts";
import { CommandError, ExitCode } from "./exit_codes.ts";
import { list, seconds } from "./flags.ts";
import { soon, withApp } from "./opening.ts";
import { nodeName } from "./node_name.ts";
import { printJson } from "./table.ts";

interface Flags {
  readonly timeout: number;
  readonly destination?: readonly string[];
  readonly json?: true;
}

/** Makes the command. */
export function statusCommand(): Command {
  const command = new Command("status")
    .summary("show which workers are alive")
    .description("Asks all workers, Python's too, whether they are alive. Exit code 1 when none answers.")
    .option("-t, --timeout <seconds>", "how long to wait for answers", seconds, 1)
    .option(
      "-d, --destination <nodes>",
      "these workers only, %h being this host; exit code 1 when one of them is silent",
      list,
    )
    .option("-j, --json", "as JSON")
    .action(status);
  return withExamples(command, [
    ["celeriac status", "all workers of the default broker"],
    ["celeriac status -d celery@%h -t 3", "health check of the worker on this host"],
  ]);
}

async function status(_flags: unknown, command: Command): Promise<void> {
  await withApp<Flags>(command, async (app, { flags }) => {
    const { timeout } = flags;
    const destination = flags.destination?.map((format) => nodeName(format, hostname(), "-d"));
    const answers = await app.inspect.ping({ timeout, destination });
    const alive = Object.keys(answers).sort().filter((node) => destination?.includes(node) ?? true);
    if (flags.json) printJson(Object.fromEntries(alive.map((node) => [node, answers[node]])));
    else for (const node of alive) console.log(`${node}: OK`);
    const silent = destination?.filter((node) => !alive.includes(node)) ?? [];
    if (silent.length > 0) {
      throw new CommandError(`no answer from ${silent.join(", ")} in ${timeout} s`, ExitCode.FAILED);
    }
    if (alive.length === 0) throw new CommandError(`no worker answered in ${timeout} s`, ExitCode.FAILED);
    if (!flags.quiet && !flags.json) {
      console.error(`${alive.length} ${alive.length === 1 ? "node" : "nodes"} online.`);
    }
  }, soon);
}
