/** `celeriac listen`: prints the messages of a running task, or of any id. */
import { Command } from "commander";
import type { App } from "../client/app.ts";
import type { Direction } from "../channel/channel.ts";
import { messagesUrl } from "../channel/options.ts";
import { stringifyPythonJson } from "../protocol/python_json.ts";
import { withExamples } from "./examples.ts";
import { CommandError, ExitCode } from "./exit_codes.ts";
import { seconds } from "./flags.ts";
import { withApp } from "./opening.ts";
import { directionFlag } from "./send.ts";

interface Flags {
  readonly direction: Direction;
  readonly timeout?: number;
}

/** Makes the command. */
export function listenCommand(): Command {
  const command = new Command("listen")
    .summary("print the messages of a running task")
    .description(
      "Prints what a task sends, one JSON text a line, until the task has ended or the sender says so. An id's messages " +
        "have one reader at a time: this one takes over from another.",
    )
    .argument("<id>", "the task's id, or any other that somebody sends messages for")
    .addOption(directionFlag("to-client"))
    .option("--timeout <seconds>", "wait for each message no longer than that (default: for ever)", seconds)
    .action(listen);
  return withExamples(command, [
    ["celeriac listen 01990a5d-ac96-774b-bcce-b302099a8057", "until the task has ended"],
    ["celeriac listen 01990a5d-ac96-774b-bcce-b302099a8057 --direction to-task", "what is sent to the task"],
  ]);
}

async function listen(id: string, _flags: unknown, command: Command): Promise<void> {
  await withApp<Flags>(command, async (app, { flags }) => {
    const { timeout } = flags;
    const late = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const wait = () => {
      clearTimeout(timer);
      if (timeout === undefined) return;
      const error = new CommandError(`no message of ${id} for ${timeout} s`, ExitCode.NOT_YET);
      timer = setTimeout(() => late.abort(error), timeout * 1000);
    };
    wait();
    try {
      for await (const message of messagesOf(app, id, flags.direction, late.signal)) {
        console.log(stringifyPythonJson(message));
        wait();
      }
    } finally {
      clearTimeout(timer);
    }
  });
}

async function* messagesOf(app: App, id: string, direction: Direction, signal: AbortSignal) {
  if (direction === "to-client") return yield* app.AsyncResult(id).messages({ signal });
  const { Consumer } = await import("../channel/consumer.ts");
  const consumer = new Consumer(id, { url: messagesUrl(app.settings), direction });
  try {
    for (let message; (message = await consumer.get({ signal })) !== undefined;) yield message;
  } finally {
    await consumer.close();
  }
}
