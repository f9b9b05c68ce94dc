/** Starts other processes on a database file, on the runtime that the test itself runs on. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { runtimeName } from "../../../runtime/platform.ts";

const CHILD = fileURLToPath(new URL("./child.ts", import.meta.url));

/** A running `child.ts`. */
export class Child {
  readonly lines: string[] = [];
  readonly exited: Promise<number | null>;
  readonly #process: ChildProcess;
  readonly #waiting = new Set<() => void>();

  constructor(process: ChildProcess) {
    this.#process = process;
    this.exited = once(process, "close").then(([code]) => {
      this.#wake();
      return code;
    });
    createInterface({ input: process.stdout! }).on("line", (line) => {
      this.lines.push(line);
      this.#wake();
    });
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /** Resolves with the first line that matches, said already or to come. */
  async line(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = this.lines.find((line) => pattern.test(line));
      if (found !== undefined) return found;
      if (this.#process.exitCode !== null) {
        throw new Error(`the process ended without saying ${pattern}: ${this.lines.join("; ")}`);
      }
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /** Ends its input, which makes it come to its end. */
  async finish(): Promise<number | null> {
    this.#process.stdin!.end();
    return await this.exited;
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.exited;
  }
}

/** Starts `child.ts WHAT PATH [COUNT]`; under `limits`, shell commands that set limits of its own. */
export function startChild(what: string, path: string, count: number = 0, limits?: string): Child {
  const run = runtimeName === "deno" ? ["run", "-A", "--no-check"] : [];
  const command = [process.execPath, ...run, CHILD, what, path, String(count)];
  const [program, ...args] = limits === undefined
    ? command
    : ["sh", "-c", `${limits}; exec "$@"`, "sh", ...command];
  const child = new Child(spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] }));
  children.add(child);
  child.exited.then(() => children.delete(child));
  return child;
}

const children = new Set<Child>();

/** Ends those that a failed test has left. */
export async function killChildren(): Promise<void> {
  await Promise.all([...children].map((child) => child.kill()));
}
