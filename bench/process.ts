/** Programs that the bench starts: what they print, how much processor time and memory they take, and their end. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** The checkout, with a slash at the end. */
export const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** What a program and all that it has started have taken so far. */
export interface Usage {
  /** Processor time, user and system, in ms; steps of 10. */
  readonly cpu: number;
  /** Bytes of memory in use (RSS), summed over its processes. */
  readonly memory: number;
  /** The same without what is mapped from files: programs, libraries, a database. */
  readonly private: number;
}

const LINES_KEPT = 200;
const running = new Set<Program>();

/** A program with its children, one process group. */
export class Program {
  readonly pid: number;
  /** Resolves with its exit code, or null when a signal ended it. */
  readonly exited: Promise<number | null>;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #waiting = new Set<{ pattern: RegExp; resolve(line: string): void; reject(error: Error): void }>();
  readonly #command: string;

  constructor(command: readonly string[], env: Readonly<Record<string, string>> = {}, cwd: string = ROOT) {
    this.#command = command.join(" ");
    const child = this.#child = spawn(command[0], command.slice(1), {
      cwd,
      env: { ...process.env, NO_COLOR: "1", ...env },
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
    });
    this.pid = child.pid ?? 0;
    running.add(this);
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on("line", (line) => this.#hear(line));
    }
    child.stdin!.on("error", () => {});
    this.exited = once(child, "close").then(([code]) => code as number | null, () => null);
    void this.exited.then((code) => {
      running.delete(this);
      const error = new Error(`${this.#command} ended with ${code}:\n${this.#lines.slice(-30).join("\n")}`);
      for (const { reject } of this.#waiting) reject(error);
    });
  }

  /** Resolves with the next line that matches; one printed before counts as well. @throws When it ends before. */
  line(pattern: RegExp): Promise<string> {
    const found = this.#lines.findIndex((line) => pattern.test(line));
    if (found >= 0) return Promise.resolve(this.#lines.splice(0, found + 1)[found]);
    return new Promise((resolve, reject) => this.#waiting.add({ pattern, resolve, reject }));
  }

  /** Whether it has not ended yet. */
  get isRunning(): boolean {
    return running.has(this);
  }

  /** Writes a line to its standard input. */
  write(line: string): void {
    this.#child.stdin!.write(`${line}\n`);
  }

  /** What its whole group has taken so far. */
  usage(): Usage {
    let cpu = 0, resident = 0, shared = 0;
    for (const entry of readdirSync("/proc")) {
      if (!/^\d+$/.test(entry)) continue;
      // Fields of proc(5), counted behind the name: 2 process group, 11 and 12 times.
      const fields = read(`/proc/${entry}/stat`).replace(/^.*\) /s, "").split(" ");
      if (Number(fields[2]) !== this.pid) continue;
      cpu += (Number(fields[11]) + Number(fields[12])) * 10;
      const pages = read(`/proc/${entry}/statm`).split(" ");
      resident += Number(pages[1] ?? 0) * 4096;
      shared += Number(pages[2] ?? 0) * 4096;
    }
    return { cpu, memory: resident, private: resident - shared };
  }

  /** Ends it and all that it has started. */
  async kill(): Promise<void> {
    this.#signal("SIGKILL");
    await this.exited;
  }

  /** The same, for the end of this process. */
  killNow(): void {
    this.#signal("SIGKILL");
  }

  #signal(name: "SIGKILL"): void {
    try {
      if (running.has(this)) process.kill(-this.pid, name);
    } catch {
      // It has just ended by itself.
    }
  }

  #hear(line: string): void {
    for (const wait of this.#waiting) {
      if (!wait.pattern.test(line)) continue;
      this.#waiting.delete(wait);
      return wait.resolve(line);
    }
    this.#lines.push(line);
    if (this.#lines.length > LINES_KEPT) this.#lines.shift();
  }
}

/** Ends everything that was started and still runs. */
export async function killAll(): Promise<void> {
  await Promise.all([...running].map((program) => program.kill()));
}

process.on("exit", () => {
  for (const program of running) program.killNow();
});

/** A file of /proc, or nothing when its process has just ended. */
function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
