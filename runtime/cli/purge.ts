/** `celeriac purge`: drops the messages that wait in queues. */
import process from "node:process";
import { createInterface } from "node:readline/promises";
import { Command } from "commander";
import { withExamples } from "./examples.ts";
import { CommandError, ExitCode } from "./exit_codes.ts";
import { list } from "./flags.ts";
import { chosenQueues, soon, withApp } from "./opening.ts";

interface Flags {
  readonly queues?: readonly string[];
  readonly excludeQueues?: readonly string[];
  readonly force?: true;
}

/** Makes the command. */
export function purgeCommand(): Command {
  const command = new Command("purge")
    .summary("drop the messages that wait in queues")
    .description(
      "Drops the messages of queues that are ready or delayed, for ever. What workers hold and dead letters stay.",
    )
    .option("-Q, --queues <names>", "these queues (default: those of the settings)", list)
    .option("-X, --exclude-queues <names>", "not these", list)
    .option("-f, --force", "do not ask")
    .action(purge);
  return withExamples(command, [
    ["celeriac purge", "the default queue; asks first"],
    ["celeriac purge -f -Q mail,images", "two queues, without asking"],
  ]);
}

async function purge(_flags: unknown, command: Command): Promise<void> {
  await withApp<Flags>(command, async (app, { flags, settings }) => {
    const queues = chosenQueues(settings, flags.queues, flags.excludeQueues);
    const transport = await app.transport();
    if (!flags.force) await confirm(queues, transport.name);
    for (const queue of queues) console.log(`${queue}: ${await transport.purge(queue)} messages dropped`);
  }, soon);
}

async function confirm(queues: readonly string[], broker: string): Promise<void> {
  if (!process.stdin.isTTY) {
    throw new CommandError(
      "purge asks before it drops messages: say -f where nobody can answer",
      ExitCode.USAGE,
    );
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question(
    `Drop all messages of ${queues.join(", ")} on ${broker}? Type yes: `,
  );
  terminal.close();
  if (answer.trim().toLowerCase() !== "yes") throw new CommandError("nothing was dropped", ExitCode.FAILED);
}
