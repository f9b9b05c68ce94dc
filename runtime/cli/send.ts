/** `celeriac send`: messages to a running task, or to whoever reads those of an id. */
import { Command, Option } from "commander";
import type { Direction } from "../channel/channel.ts";
import { messagesUrl } from "../channel/options.ts";
import { argumentValue } from "./argument_value.ts";
import { withExamples } from "./examples.ts";
import { CommandError, ExitCode } from "./exit_codes.ts";
import { seconds } from "./flags.ts";
import { open, sharedPlaces } from "./opening.ts";

interface Flags {
  readonly direction: Direction;
  readonly end?: true;
  readonly timeout?: number;
}

/** Which way messages go, for `send` and `listen`. */
export function directionFlag(direction: Direction): Option {
  return new Option("--direction <way>", "which way the messages go").choices(["to-task", "to-client"])
    .default(
      direction,
    );
}

/** Makes the command. */
export function sendCommand(): Command {
  const command = new Command("send")
    .summary("send messages to a running task")
    .description(
      "Sends messages to a task, which reads them by ctx.messages(), also before it runs. They are JSON where they are " +
        "JSON, else text.",
    )
    .argument("<id>", "the task's id, or any other that somebody reads messages of")
    .argument("[messages...]", "what to send, in order")
    .option("--end", "say that nothing follows")
    .addOption(directionFlag("to-task"))
    .option("--timeout <seconds>", "wait for room no longer than that (default: for ever)", seconds)
    .action(send);
  return withExamples(command, [
    ["celeriac send 01990a5d-ac96-774b-bcce-b302099a8057 '{\"speed\": 2}'", "one message"],
    ["celeriac send 01990a5d-ac96-774b-bcce-b302099a8057 1 2 3 --end", "three, and the end of the stream"],
  ]);
}

async function send(id: string, messages: string[], _flags: unknown, command: Command): Promise<void> {
  const { flags, settings } = await open<Flags>(command);
  const { direction, end, timeout } = flags;
  if (messages.length === 0 && !end) {
    throw new CommandError(
      "there is nothing to send: write messages behind the id, or --end",
      ExitCode.USAGE,
    );
  }
  const { Producer } = await import("../channel/producer.ts");
  const producer = new Producer(id, { url: messagesUrl(sharedPlaces(settings)), direction });
  try {
    await producer.sendMessages(messages.map(argumentValue), { timeout });
    if (end) await producer.end({ timeout });
  } finally {
    await producer.close();
  }
}
