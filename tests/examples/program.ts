/** Runs the programs of `examples/` as their readers do, on the runtime that the tests run on. */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { runtimeName } from "../../runtime/platform.ts";
import { follow, type TestWorker } from "../servers/worker.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** A folder for a test's broker, and its URL. */
export async function temporaryBroker(): Promise<{ url: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), "celeriac-examples-"));
  return {
    url: `sqlite:${join(folder, "celeriac.db")}`,
    remove: () => rm(folder, { recursive: true }),
  };
}

/** Starts a program of `examples/`. */
export function startExample(
  file: string,
  broker: string,
  { args = [], env = {} }: { args?: readonly string[]; env?: Readonly<Record<string, string>> } = {},
): TestWorker {
  const run = runtimeName === "deno" ? ["run", "-A", "--no-check"] : [];
  return start(process.execPath, [...run, `examples/${file}`, ...args], broker, env);
}

/** Runs a program of `examples/` to its end; gives the lines that it printed. */
export async function runExample(file: string, broker: string, ...args: string[]): Promise<string[]> {
  return await linesOf(file, startExample(file, broker, { args }));
}

/** The same for a program in Python. */
export async function runPython(
  python: string,
  file: string,
  broker: string,
  ...args: string[]
): Promise<string[]> {
  return await linesOf(file, startPython(python, [`examples/${file}`, ...args], broker));
}

/** Starts Python, with any arguments. */
export function startPython(python: string, args: readonly string[], broker: string): TestWorker {
  return start(python, args, broker, { PYTHONDONTWRITEBYTECODE: "1", C_FORCE_ROOT: "1" });
}

async function linesOf(file: string, program: TestWorker): Promise<string[]> {
  const code = await program.exited;
  if (code !== 0) throw new Error(`${file} ended with ${code}:\n${program.lines.join("\n")}`);
  return [...program.lines];
}

function start(
  program: string,
  args: readonly string[],
  broker: string,
  env: Readonly<Record<string, string>>,
): TestWorker {
  const child = spawn(program, args, {
    cwd: ROOT,
    env: { ...process.env, NO_COLOR: "1", CELERIAC_BROKER_URL: broker, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  return follow(child);
}
