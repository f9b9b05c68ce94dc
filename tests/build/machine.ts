/** A machine that has nothing but one executable file: an empty folder, an empty environment, no PATH. */
import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { follow, type TestWorker } from "../servers/worker.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const BUN = join(ROOT, "node_modules/bun/bin/bun.exe");

/** What a program that has ended leaves. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. */
export function run(
  file: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(file, args, { cwd: ROOT, ...options, encoding: "utf8" }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
  });
}

/** `celeriac ARGS` of this checkout on Bun, which makes executables; the tests run it from Deno, too. */
export function celeriac(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  return run(BUN, ["--no-env-file", join(ROOT, "runtime/main.ts"), ...args], {
    env: { ...process.env, ...env } as Record<string, string>,
  });
}

/** A folder with one executable in it, which is called `celeriac`. */
export class Machine implements AsyncDisposable {
  readonly path: string;
  readonly #workers: TestWorker[] = [];

  private constructor(path: string) {
    this.path = path;
  }

  /** One that gets `executable`; without it the executable is made right here, by `compile ARGS`. */
  static async with(made: { executable: string } | { compile: readonly string[] }): Promise<Machine> {
    const machine = new Machine(await mkdtemp(join(tmpdir(), "celeriac-machine-")));
    const file = join(machine.path, "celeriac");
    if ("executable" in made) {
      await rename(made.executable, file);
    } else {
      const { code, stderr } = await celeriac(["compile", ...made.compile, "-o", file]);
      if (code !== 0) throw new Error(stderr);
    }
    return machine;
  }

  /** Writes files below the folder, by their paths. */
  async write(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, text] of Object.entries(files)) {
      const file = join(this.path, name);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, text);
    }
  }

  /** Runs `./celeriac ARGS` to its end. */
  run(...args: string[]): Promise<Ended> {
    return run("./celeriac", args, { cwd: this.path, env: {} });
  }

  /** Starts `./celeriac worker ARGS` and waits until it says that it is ready. */
  async worker(...args: string[]): Promise<TestWorker> {
    const child = spawn("./celeriac", ["worker", ...args], {
      cwd: this.path,
      env: {},
      stdio: ["ignore", "pipe", "pipe"],
    });
    const worker = follow(child);
    this.#workers.push(worker);
    const ended = worker.exited.then((code) => `it ended with ${code}`);
    const said = await Promise.race([worker.line(/ready\b/), ended]);
    if (said.startsWith("it ended")) throw new Error(`${said}:\n${worker.lines.join("\n")}`);
    return worker;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.kill()));
    await rm(this.path, { recursive: true, force: true });
  }
}
