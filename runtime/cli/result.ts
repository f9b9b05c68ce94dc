/** `celeriac result`: what is known of a task that was sent before. */
import { Command } from "commander";
import { stringifyPythonJson } from "../protocol/python_json.ts";
import { withExamples } from "./examples.ts";
import { CommandError, ExitCode } from "./exit_codes.ts";
import { seconds } from "./flags.ts";
import { soon, withApp } from "./opening.ts";

interface Flags {
  readonly timeout?: number;
  readonly traceback?: true;
  readonly json?: true;
  readonly forget?: true;
  readonly tree?: true;
}

/** Makes the command. */
export function resultCommand(): Command {
  const command = new Command("result")
    .summary("print the result of a task")
    .description("Prints the result of a task as JSON. Exit code 75 where there is none yet.")
    .argument("<id>", "the task's id")
    .option("--timeout <seconds>", "wait for it that long (default: not at all)", seconds)
    .option("--traceback", "the trace of a failed task, on standard output")
    .option("-j, --json", "all that is stored: state, result, traceback, time")
    .option("--tree", "the task and all that has followed it, each with its state, however far they are")
    .option("--forget", "delete it once it is printed")
    .action(result);
  return withExamples(command, [
    ["celeriac result 01990a5d-ac96-774b-bcce-b302099a8057", "its value, or its error and exit code 1"],
    ["celeriac result 01990a5d-ac96-774b-bcce-b302099a8057 --timeout 10", "wait up to 10 seconds"],
    ["celeriac result 01990a5d-ac96-774b-bcce-b302099a8057 --json", "state, result, traceback, time"],
    ["celeriac result 01990a5d-ac96-774b-bcce-b302099a8057 --tree", "the workflow that it has begun"],
  ]);
}

async function result(id: string, _flags: unknown, command: Command): Promise<void> {
  await withApp<Flags>(command, async (app, { flags }) => {
    const result = app.AsyncResult(id);
    if (flags.timeout !== undefined) await result.get({ timeout: flags.timeout, propagate: false });
    if (flags.tree) {
      console.log(await result.graph());
      if (flags.forget) await result.forget();
      return;
    }
    const meta = await result.meta();
    const state = meta?.status ?? "PENDING";
    if (flags.json) {
      console.log(stringifyPythonJson({ id, ...meta, status: state, result: plainResult(meta?.result) }));
    }
    if (!await result.ready()) {
      const known = state === "PENDING"
        ? "nothing is stored of it: it waits, or it is unknown"
        : `its state is ${state}`;
      throw new CommandError(`no result of ${id} yet: ${known}`, ExitCode.NOT_YET);
    }
    if (flags.traceback) console.log(meta?.traceback ?? "");
    try {
      const value = await result.get();
      if (!flags.json && !flags.traceback) console.log(stringifyPythonJson(value ?? null));
    } finally {
      if (flags.forget) await result.forget();
    }
  }, soon);
}

/** An error as data. */
function plainResult(value: unknown): unknown {
  if (!(value instanceof Error)) return value ?? null;
  const { type, message } = value as Error & { type?: string };
  return { type: type ?? value.name, message };
}
