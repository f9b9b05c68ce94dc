/** `celeriac queues`: how much stands in the queues. */
import { Command } from "commander";
import { withExamples } from "./examples.ts";
import { list } from "./flags.ts";
import { chosenQueues, soon, withApp } from "./opening.ts";
import { printJson, table } from "./table.ts";

interface Flags {
  readonly queues?: readonly string[];
  readonly json?: true;
}

/** Makes the command. */
export function queuesCommand(): Command {
  const command = new Command("queues")
    .summary("show how much stands in the queues")
    .description(
      "Shows of each queue how many messages are ready, held back until their time (delayed), in the hands of " +
        "workers (unacked), and kept because they could not be run (dead).",
    )
    .option(
      "-Q, --queues <names>",
      "these queues (default: all that the broker knows; on RabbitMQ taskQueues)",
      list,
    )
    .option("-j, --json", "as JSON")
    .action(show);
  return withExamples(command, [
    ["celeriac queues", "all queues of the default broker"],
    ["celeriac queues -Q mail,images -b redis://localhost --json", "two queues, as JSON"],
  ]);
}

async function show(_flags: unknown, command: Command): Promise<void> {
  await withApp<Flags>(command, async (app, { flags }) => {
    const transport = await app.transport();
    const named = transport.ways?.listsOwnOnly ? chosenQueues(app.settings, flags.queues) : flags.queues;
    const lengths = await transport.lengths(named);
    if (flags.json) return printJson(lengths);
    const rows = lengths.map((
      { queue, ready, delayed, unacked, dead },
    ) => [queue, ready, delayed, unacked, dead]);
    if (rows.length === 0) return console.log("(no queues yet)");
    console.log(table(["QUEUE", "READY", "DELAYED", "UNACKED", "DEAD"], rows));
  }, soon);
}
