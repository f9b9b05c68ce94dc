/** A real worker of the command line in a process of its own, on the runtime that the tests run on. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { runtimeName } from "../../runtime/platform.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MAIN = fileURLToPath(new URL("../../runtime/main.ts", import.meta.url));

/** The program and arguments that run the command line on this runtime. */
export function commandLine(...args: string[]): [string, string[]] {
  const run = runtimeName === "deno" ? ["run", "-A", "--no-check", `--config=${ROOT}deno.json`] : [];
  return [process.execPath, [...run, MAIN, ...args]];
}

/** A started worker. */
export interface TestWorker {
  readonly pid: number;
  /** All that it has printed so far, a line each. */
  readonly lines: readonly string[];
  /** Resolves with the first line, printed already or still to come, that matches. */
  line(pattern: RegExp): Promise<string>;
  signal(name: "SIGTERM" | "SIGINT" | "SIGQUIT" | "SIGKILL" | "SIGSTOP" | "SIGCONT"): void;
  /** Its exit code, or null when a signal ended it. */
  readonly exited: Promise<number | null>;
  /** SIGTERM, then waits for its end. */
  stop(): Promise<number | null>;
  /** `kill -9`, then waits for its end. */
  kill(): Promise<void>;
}

/** Starts `celeriac worker ...args` and waits until it says that it is ready. */
export async function startWorker(
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<TestWorker> {
  const [program, rest] = commandLine("worker", ...args);
  const child = spawn(program, rest, {
    cwd: options.cwd ?? ROOT,
    env: { ...process.env, NO_COLOR: "1", ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const worker = follow(child);
  const ready = worker.line(/ready\b/);
  const ended = worker.exited.then((code) => {
    throw new Error(`the worker ended with ${code} before it was ready:\n${worker.lines.join("\n")}`);
  });
  await Promise.race([ready, ended]);
  ended.catch(() => {});
  return worker;
}

/** Runs a command of the command line to its end. */
export async function run(
  args: readonly string[],
  options: {
    readonly cwd?: string;
    readonly env?: Readonly<Record<string, string>>;
    readonly input?: string;
  } = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const [program, rest] = commandLine(...args);
  const child = spawn(program, rest, {
    cwd: options.cwd ?? ROOT,
    env: { ...process.env, NO_COLOR: "1", ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.end(options.input ?? "");
  let stdout = "", stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text) => stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text) => stderr += text);
  const [code] = await once(child, "close");
  return { code, stdout, stderr };
}

/** Follows what a process prints, line by line. */
export function follow(child: ChildProcess): TestWorker {
  const lines: string[] = [];
  const waiting = new Set<{ pattern: RegExp; resolve: (line: string) => void }>();
  for (const stream of [child.stdout!, child.stderr!]) {
    createInterface({ input: stream }).on("line", (line) => {
      lines.push(line);
      for (const wait of waiting) {
        if (!wait.pattern.test(line)) continue;
        waiting.delete(wait);
        wait.resolve(line);
      }
    });
  }
  const exited = once(child, "close").then(([code]) => code as number | null);
  let running = true;
  child.once("exit", () => running = false);
  // Not `child.kill`: on Deno a child that it has signalled counts as ended by that signal, whatever its exit code.
  const signal: TestWorker["signal"] = (name) => {
    if (running) process.kill(child.pid!, name);
  };
  return {
    pid: child.pid!,
    lines,
    line(pattern) {
      const found = lines.find((line) => pattern.test(line));
      if (found !== undefined) return Promise.resolve(found);
      return new Promise((resolve) => waiting.add({ pattern, resolve }));
    },
    signal,
    exited,
    stop() {
      signal("SIGTERM");
      return exited;
    },
    async kill() {
      signal("SIGKILL");
      await exited;
    },
  };
}
