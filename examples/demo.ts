/**
 * What `make demo` shows: a real worker of the tasks in `tasks/`, on an SQLite file in a folder of its own, and what
 * its users do: commands in a terminal, a program that calls typed tasks, a stop that loses nothing.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { App } from "../mod.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = await mkdtemp(join(tmpdir(), "celeriac-demo-"));
const broker = `sqlite:${join(folder, "celeriac.db")}`;
const color = process.stdout.isTTY && !process.env.NO_COLOR;
const paint = (code: number, text: string) => color ? `\x1b[${code}m${text}\x1b[0m` : text;

function start(...args: string[]): ChildProcess {
  const runtime = process.versions.bun ? [] : ["run", "-A", "--no-check"];
  return spawn(process.execPath, [...runtime, join(root, "runtime/main.ts"), ...args, "-b", broker], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** How many of the worker's next lines are not shown. */
let hide = 0;
let allHidden = () => {};

/** Prints what a process prints, with a mark in front; resolves when it ends. */
function show(child: ChildProcess, mark: string, heard: (line: string) => void = () => {}): Promise<void> {
  for (const stream of [child.stdout!, child.stderr!]) {
    createInterface({ input: stream }).on("line", (line) => {
      heard(line);
      if (child !== worker || hide === 0) console.log(`${paint(2, mark)} ${line}`);
      else if (--hide === 0) allHidden();
    });
  }
  return new Promise((resolve) => child.on("close", () => resolve()));
}

function title(text: string): void {
  console.log(`\n${paint(1, text)}`);
}

/** Runs a command as a user would type it. */
async function command(...args: string[]): Promise<void> {
  const typed = args.map((arg) => /^[\w.,:/-]+$/.test(arg) ? arg : `'${arg}'`).join(" ");
  console.log(`${paint(32, "$")} celeriac ${typed}`);
  await show(start(...args), " ");
}

title("A worker: two isolates that have loaded tasks/*.ts. Its broker is an SQLite file, no server runs.");
const worker = start("worker", "-A", "tasks", "-c", "2", "--log-format", "text");
process.on("exit", () => worker.kill("SIGKILL"));
const ready = Promise.withResolvers<void>();
const ended = show(worker, "worker │", (line) => line.includes(" ready") && ready.resolve());
await Promise.race([
  ready.promise,
  ended.then(() => {
    throw new Error("the worker ended before it was ready");
  }),
]);

title("Tasks called from a terminal.");
await command("call", "math.add", "1", "2");
await command("call", "text.greet", "--kwargs", '{"name": "Ada"}');
await command("call", "text.count", "a rose is a rose is a rose");

title("A task that fails: its caller gets the error, and exit code 1.");
await command("call", "text.fail", "this went wrong");

title(
  'A program calls 1,000 typed tasks at once: app.module<typeof import("./tasks/math.ts")>("math").add(i, i)',
);
const app = new App({ broker });
const math = app.module<typeof import("../tasks/math.ts")>("math");
hide = 1000;
const hidden = new Promise<void>((resolve) => allHidden = resolve);
const started = performance.now();
const sums = await Promise.all(Array.from({ length: 1000 }, (_, i) => math.add(i, i)));
const seconds = (performance.now() - started) / 1000;
console.log(`  the last result is ${sums[999]}; all 1,000 were back after ${seconds.toFixed(2)} s`);
await app.disconnect();
await hidden;
console.log("  (the worker's 1,000 log lines are left out here)");

title("Who is alive, and what waits.");
await command("status");
await command("queues");

title("SIGTERM: the worker finishes what runs, hands back what did not start, and ends.");
worker.kill("SIGTERM");
await ended;
await rm(folder, { recursive: true });
console.log(`
Next: write a module of your own, such as

  ${paint(36, "export function hello(name: string) { return `Hello, ${name}!`; }")}

and run ./celeriac worker -A hello.ts in one terminal, ./celeriac call hello.hello you in another.
`);
