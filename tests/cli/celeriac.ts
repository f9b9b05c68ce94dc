/** Runs the executable as its users do: as a process of its own, on the runtime that the test runs on. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../../runtime/main.ts", import.meta.url));

/** How a command ended. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
}

/** A command that runs. */
export class Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  #stdout = "";
  #stderr = "";
  #heard: (() => void)[] = [];

  constructor(args: readonly string[], { cwd, env }: RunOptions = {}) {
    const runtime = process.versions.bun ? [main] : ["run", "-A", "--no-check", main];
    const inherited = Object.entries(process.env).filter(([name]) => !/^(CELERIAC|CELERY)_/.test(name));
    this.child = spawn(process.execPath, [...runtime, ...args], {
      cwd,
      env: { ...Object.fromEntries(inherited), NO_COLOR: "", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child.stdout!.on("data", (chunk) => this.#hear(() => this.#stdout += chunk));
    this.child.stderr!.on("data", (chunk) => this.#hear(() => this.#stderr += chunk));
    this.ended = new Promise((resolve) => {
      this.child.on("close", (code) => {
        resolve({ code, stdout: this.#stdout, stderr: this.#stderr });
        this.#hear(() => {});
      });
    });
  }

  /** What standard error has shown so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Resolves when standard error shows `text`. */
  async shows(text: string | RegExp): Promise<void> {
    const shown = () => typeof text === "string" ? this.#stderr.includes(text) : text.test(this.#stderr);
    while (!shown()) {
      if (this.child.exitCode !== null) throw new Error(`it ended without showing ${text}:\n${this.#stderr}`);
      await new Promise<void>((resolve) => this.#heard.push(resolve));
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Ends it, if it still runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null) this.child.kill("SIGKILL");
    await this.ended;
  }

  #hear(change: () => void): void {
    change();
    for (const resolve of this.#heard.splice(0)) resolve();
  }
}

/** Runs a command to its end. */
export function celeriac(args: readonly string[], options?: RunOptions): Promise<Ended> {
  return new Running(args, options).ended;
}

/** A folder of its own with these files in it. */
export class Folder {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async with(files: Record<string, string>): Promise<Folder> {
    const folder = new Folder(await mkdtemp(join(tmpdir(), "celeriac-cli-")));
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder.path, name), text);
    return folder;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}
