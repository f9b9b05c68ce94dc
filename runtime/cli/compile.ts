/** `celeriac compile`: one executable file with the program, its runtime, and task modules inside. */
import { access, constants, mkdir, stat } from "node:fs/promises";
import process from "node:process";
import { basename, dirname, resolve } from "node:path";
import { Command } from "commander";
import { type Target, targetOf, targets } from "../build/target.ts";
import { requireIsolates } from "../platform.ts";
import { describeTasks } from "./describe_tasks.ts";
import { runtime } from "./edition.ts";
import { withExamples } from "./examples.ts";
import { CommandError, ExitCode } from "./exit_codes.ts";
import { collect } from "./flags.ts";
import { open } from "./opening.ts";

interface Flags {
  readonly output: string;
  readonly target?: string;
  readonly include?: readonly string[];
  readonly prefix?: string;
}

/** Makes the command. */
export function compileCommand(): Command {
  const command = new Command("compile")
    .summary("make one executable file with task modules inside")
    .description(
      "Makes one executable file that needs nothing else installed. It is celeriac with all its commands; its worker " +
        "runs the task modules that are inside, without -A, under the names that celeriac tasks shows here. Without " +
        "-A it is celeriac alone, which loads task modules from disk.",
    )
    .argument("[modules...]", "more task modules, beside those of -A")
    .requiredOption("-o, --output <file>", "where to put it")
    .option("--target <platform>", `for another machine: ${targets.join(", ")}`)
    .option("-I, --include <module>", "one more task module; may be repeated", collect)
    .option("--prefix <name>", "put in front of every task's name, with a dot")
    .action(compile);
  return withExamples(command, [
    ["celeriac compile -A tasks -o my-worker", "a worker for machines like this one"],
    ["./my-worker worker -b redis://localhost", "run it, here or there"],
    ["celeriac compile -A tasks --target linux-arm64-musl -o my-worker", "for Alpine on ARM"],
  ]);
}

async function compile(modules: string[], _flags: unknown, command: Command): Promise<void> {
  requireIsolates();
  const { flags, settings } = await open<Flags>(command);
  const target = flags.target === undefined ? undefined : targetOf(flags.target);
  const outfile = await outputFile(flags.output, target);
  const { findModules } = await import("../isolate/load_modules.ts");
  const patterns = [...flags.app, ...modules, ...(flags.include ?? []), ...settings.include];
  const found = await findModules(patterns, { prefix: flags.prefix });
  // What a worker would refuse is refused now.
  const tasks = found.length === 0 ? [] : await describeTasks(found, settings.workerSandbox);
  const { buildExecutable } = await import("../build/executable.ts");
  await buildExecutable({ modules: found, outfile, target });
  if (flags.quiet) return;
  const { size } = await stat(outfile);
  console.log(
    `${flags.output}: ${tasks.length === 0 ? "no" : tasks.length} ${
      tasks.length === 1 ? "task" : "tasks"
    } inside, ` +
      `${target ?? "for this machine"}, ${runtime}, ${Math.round(size / 1e6)} MB`,
  );
}

/** Its absolute path, in a folder that is there; what runs on Windows ends with `.exe`. */
async function outputFile(path: string, target: Target | undefined): Promise<string> {
  const file = resolve(path);
  const there = await stat(file).catch(() => undefined);
  if (there?.isDirectory()) {
    throw new CommandError(`-o ${path} is a folder: name a file, as in -o ${path}/worker`, ExitCode.USAGE);
  }
  const parent = dirname(file);
  try {
    await mkdir(parent, { recursive: true });
    // Before the work is done.
    await access(parent, constants.W_OK);
  } catch (cause) {
    throw new CommandError(`-o ${path}: ${(cause as Error).message}`, ExitCode.USAGE);
  }
  const windows = target === undefined ? process.platform === "win32" : target.startsWith("windows");
  return windows && !basename(file).toLowerCase().endsWith(".exe") ? `${file}.exe` : file;
}
