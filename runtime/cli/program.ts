/** The command line as a whole: `celeriac COMMAND`, its help, its exit codes. */
import { Command, CommanderError } from "commander";
import { version } from "../version.ts";
import { callCommand } from "./call.ts";
import { compileCommand } from "./compile.ts";
import { completionsCommand } from "./completions.ts";
import { edition, runtime } from "./edition.ts";
import { errorText, ExitCode, exitCodeOf, exitCodeTable } from "./exit_codes.ts";
import { addSharedFlags } from "./flags.ts";
import { flushLog } from "./opening.ts";
import { purgeCommand } from "./purge.ts";
import { queuesCommand } from "./queues.ts";
import { reportCommand } from "./report.ts";
import { resultCommand } from "./result.ts";
import { statusCommand } from "./status.ts";
import { tasksCommand } from "./tasks.ts";
import { workerCommand } from "./worker.ts";

const description = `Background tasks for Deno and Bun that speak Celery's wire protocol.

  celeriac worker -A tasks/math.ts   in one terminal: a worker
  celeriac call math.add 1 2         in another: prints 3`;

const exitCodes = exitCodeTable.map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`).join(
  "\n",
);

/** Makes the program with all its commands. */
export function makeProgram(): Command {
  const program = addSharedFlags(new Command("celeriac"))
    .description(description)
    .version(`celeriac ${version} (${runtime}; ${edition()})`, "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .helpCommand("help [command]", "print help for a command")
    .addHelpText(
      "after",
      `\nExit codes:\n${exitCodes}\n\nceleriac COMMAND --help shows the flags of a command, with examples.`,
    );
  const commands = [
    workerCommand(),
    callCommand(),
    resultCommand(),
    tasksCommand(),
    queuesCommand(),
    purgeCommand(),
    statusCommand(),
    reportCommand(),
    compileCommand(),
    completionsCommand(),
  ];
  for (const command of commands) program.addCommand(command.helpOption("-h, --help", "print help"));
  for (const each of [program, ...commands]) {
    each.exitOverride().configureHelp({ showGlobalOptions: true }).showHelpAfterError(
      "(--help says what there is)",
    );
  }
  return program;
}

/** Runs the command that `line` holds and returns its exit code. */
export async function run(line: readonly string[]): Promise<number> {
  try {
    await makeProgram().parseAsync(line, { from: "user" });
    return ExitCode.OK;
  } catch (error) {
    // Commander has printed its own message.
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.OK : ExitCode.USAGE;
    await flushLog();
    console.error(errorText(error));
    return exitCodeOf(error);
  } finally {
    await flushLog();
  }
}
