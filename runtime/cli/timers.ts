/** `celeriac timers`: the timers that tasks have set in the memory of workers, listed and cancelled. */
import { Argument, Command } from "commander";
import type { App } from "../client/app.ts";
import { withExamples } from "./examples.ts";
import { CommandError, ExitCode } from "./exit_codes.ts";
import { seconds } from "./flags.ts";
import { soon, withApp } from "./opening.ts";
import { printJson, table } from "./table.ts";

interface Flags {
  readonly timeout: number;
  readonly json?: true;
}

/** Makes the command. */
export function timersCommand(): Command {
  const command = new Command("timers")
    .summary("list or cancel timers that tasks have set")
    .description(
      "list shows the timers in the memory of all workers, the next hundred of each. cancel takes timers back by their " +
        "ids, durable ones, too, and says of each: cancelled, too late (it was due, or is cancelled already), or unknown " +
        "(its worker gives no answer). Exit code 1 unless all were cancelled.",
    )
    .addArgument(new Argument("[action]", "what to do").choices(["list", "cancel"]).default("list"))
    .argument("[ids...]", "the timers to cancel")
    .option("-t, --timeout <seconds>", "how long to wait for answers", seconds, 1)
    .option("-j, --json", "as JSON")
    .action(timers);
  return withExamples(command, [
    ["celeriac timers", "what waits where, and when it is due"],
    ["celeriac timers cancel timer-0199...-1-7", "prints cancelled, or why it is not"],
  ]);
}

async function timers(action: string, ids: string[], _flags: unknown, command: Command): Promise<void> {
  if (action === "list" && ids.length > 0) {
    throw new CommandError("timers list takes no ids; it lists the timers of all workers", ExitCode.USAGE);
  }
  if (action === "cancel" && ids.length === 0) {
    throw new CommandError("timers cancel: say which timers, by their ids", ExitCode.USAGE);
  }
  await withApp<Flags>(command, async (app, { flags }) => {
    if (action === "list") await showTimers(app, flags);
    else await cancel(app, ids, flags);
  }, soon);
}

async function showTimers(app: App, { timeout, json }: Flags): Promise<void> {
  const found = await app.timers.list({ timeout });
  if (json) return printJson(found);
  const rows = Object.entries(found).sort(([a], [b]) => a < b ? -1 : 1).flatMap(([node, { timers }]) =>
    timers.map(({ id, task, due, every }) => [due, every === null ? "" : `${every} s`, task, node, id])
  );
  if (rows.length > 0) console.log(table(["due", "every", "task", "worker", "id"], rows));
  for (const [node, { count, timers }] of Object.entries(found)) {
    if (count > timers.length) console.log(`and ${count - timers.length} more in ${node}`);
  }
  if (Object.keys(found).length === 0) {
    throw new CommandError(`no worker answered in ${timeout} s`, ExitCode.FAILED);
  }
}

async function cancel(app: App, ids: readonly string[], { timeout, json }: Flags): Promise<void> {
  const answers = await Promise.all(ids.map((id) => app.timers.cancel(id, { timeout })));
  if (json) printJson(Object.fromEntries(ids.map((id, i) => [id, answers[i]])));
  else ids.forEach((id, i) => console.log(ids.length === 1 ? answers[i] : `${id}: ${answers[i]}`));
  const left = answers.filter((answer) => answer !== "cancelled").length;
  if (left > 0) throw new CommandError(`${left} of ${ids.length} not cancelled`, ExitCode.FAILED);
}
