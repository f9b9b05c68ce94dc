/** The command line as a whole: `celeriac COMMAND`, its help, its exit codes. */
import { Command, CommanderError } from "commander";
import { version } from "../version.ts";
import { edition, runtime } from "./edition.ts";
import { errorText, ExitCode, exitCodeOf, exitCodeTable } from "./exit_codes.ts";
import { addSharedFlags } from "./flags.ts";
import { flushLog } from "./opening.ts";

const description = `Background tasks for Deno and Bun that speak Celery's wire protocol.

  celeriac worker -A tasks/math.ts   in one terminal: a worker
  celeriac call math.add 1 2         in another: prints 3`;

const exitCodes = exitCodeTable.map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`).join(
  "\n",
);

/** The commands, in the order of the help. Each is loaded when it is needed. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  worker: async () => (await import("./worker.ts")).workerCommand(),
  beat: async () => (await import("./beat.ts")).beatCommand(),
  call: async () => (await import("./call.ts")).callCommand(),
  result: async () => (await import("./result.ts")).resultCommand(),
  send: async () => (await import("./send.ts")).sendCommand(),
  listen: async () => (await import("./listen.ts")).listenCommand(),
  tasks: async () => (await import("./tasks.ts")).tasksCommand(),
  timers: async () => (await import("./timers.ts")).timersCommand(),
  queues: async () => (await import("./queues.ts")).queuesCommand(),
  purge: async () => (await import("./purge.ts")).purgeCommand(),
  dead: async () => (await import("./dead.ts")).deadCommand(),
  control: async () => (await import("./control.ts")).controlCommand(),
  inspect: async () => (await import("./control.ts")).inspectCommand(),
  status: async () => (await import("./status.ts")).statusCommand(),
  report: async () => (await import("./report.ts")).reportCommand(),
  compile: async () => (await import("./compile.ts")).compileCommand(),
  completions: async () => (await import("./completions.ts")).completionsCommand(),
};

/** Makes the program, with the command alone that a line begins with, or with all. */
export async function makeProgram(line: readonly string[] = []): Promise<Command> {
  const program = addSharedFlags(new Command("celeriac"))
    .description(description)
    .version(`celeriac ${version} (${runtime}; ${edition()})`, "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .helpCommand("help [command]", "print help for a command")
    .addHelpText(
      "after",
      `\nExit codes:\n${exitCodes}\n\nceleriac COMMAND --help shows the flags of a command, with examples.`,
    );
  // What completes command lines looks at all of them.
  const isOne = Object.hasOwn(commands, line[0] ?? "") && line[0] !== "completions";
  const makers = isOne ? [commands[line[0]]] : Object.values(commands);
  const made = await Promise.all(makers.map((make) => make()));
  for (const command of made) program.addCommand(command.helpOption("-h, --help", "print help"));
  for (const each of [program, ...made]) {
    each.exitOverride().configureHelp({ showGlobalOptions: true }).showHelpAfterError(
      "(--help says what there is)",
    );
  }
  return program;
}

/** Runs the command that `line` holds and returns its exit code. */
export async function run(line: readonly string[]): Promise<number> {
  try {
    await (await makeProgram(line)).parseAsync(line, { from: "user" });
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
