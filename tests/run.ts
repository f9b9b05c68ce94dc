/**
 * Runs every `*_test.ts` under tests/ on Deno and on Bun, each file in a process of its own, and ends with the line
 * `N passed, N failed`, summed over both. `make test` calls it; by hand:
 *
 *     node_modules/deno/deno run -A tests/run.ts [--only deno|bun] [--jobs N] [--minutes N] [PART OF A PATH ...]
 *
 * A file that stays silent about its tests (a crash, a time-out) counts as one failed test, and so does a skipped
 * test, because this project has none.
 */
import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { readJunit } from "./junit.ts";
import { type RabbitmqServer, SHARED, startRabbitmq } from "./servers/rabbitmq.ts";

type RuntimeName = "deno" | "bun";

interface Run {
  readonly runtime: RuntimeName;
  readonly file: string;
}

const root = fileURLToPath(new URL("..", import.meta.url));

const commands: Record<RuntimeName, (file: string, report: string) => string[]> = {
  deno: (file, report) => [
    "node_modules/deno/deno",
    ...["test", "-A", "--no-check", `--junit-path=${report}`, file],
  ],
  bun: (file, report) => [
    "node_modules/bun/bin/bun.exe",
    // Bun ends a test after 5 s unless told; here a whole file has a time limit instead.
    ...["test", "--timeout", "600000", "--reporter=junit", `--reporter-outfile=${report}`, `./${file}`],
  ],
};

/** These load the machine, or hold up what they use for long: they come last, one at a time. */
const isHeavy = (file: string) => file.startsWith("tests/faults/");
const HEAVY_JOBS = 1;

/** These share a RabbitMQ, which is started when the first of them is about to run. */
const sharesRabbitmq = (file: string) => file.includes("amqp");
let rabbitmq: Promise<RabbitmqServer> | undefined;

async function environment(file: string): Promise<Record<string, string>> {
  if (!sharesRabbitmq(file)) return {};
  const { place } = await (rabbitmq ??= startRabbitmq());
  return { [SHARED]: JSON.stringify(place) };
}

async function testFiles(folder: string): Promise<string[]> {
  const entries = await readdir(join(root, folder), { withFileTypes: true });
  const found = await Promise.all(entries.map((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return testFiles(path);
    return entry.name.endsWith("_test.ts") ? [path] : [];
  }));
  return found.flat().sort();
}

/** Runs one file; everything that it started and left behind ends with it. */
function execute(
  command: string[],
  env: Readonly<Record<string, string>>,
  minutes: number,
): Promise<{ output: string; timedOut: boolean; code: number }> {
  return new Promise((resolve) => {
    const child = spawn(command[0], command.slice(1), {
      cwd: root,
      env: { ...process.env, NO_COLOR: "1", ...env },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const chunks: Uint8Array[] = [];
    const collect = (chunk: Uint8Array) => void chunks.push(chunk);
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    const endGroup = () => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      } catch {
        // Nothing of the group is left.
      }
    };
    let timedOut = false;
    const limit = setTimeout(() => {
      timedOut = true;
      endGroup();
    }, minutes * 60_000);
    child.on("exit", endGroup);
    child.on("close", (code) => {
      clearTimeout(limit);
      resolve({ output: Buffer.concat(chunks).toString(), timedOut, code: code ?? -1 });
    });
  });
}

const { values: flags, positionals: parts } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: "string" },
    jobs: { type: "string", default: "3" },
    minutes: { type: "string", default: "5" },
  },
});
const runtimes = (["deno", "bun"] as const).filter((name) => flags.only === undefined || flags.only === name);
const files = (await testFiles("tests")).filter((file) =>
  parts.length === 0 || parts.some((part) => file.includes(part))
);
const runs = files.flatMap((file) => runtimes.map((runtime) => ({ runtime, file })));
const reports = await mkdtemp(join(tmpdir(), "celeriac-tests-"));
const failures: string[] = [];
let passed = 0;
let failed = 0;

async function runOne({ runtime, file }: Run): Promise<void> {
  const report = join(reports, `${runtime}-${file.replaceAll("/", "-")}.xml`);
  const env = await environment(file);
  const started = performance.now();
  const command = commands[runtime](file, report);
  const { output, timedOut, code } = await execute(command, env, Number(flags.minutes));
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const tests = readJunit(await readFile(report, "utf8").catch(() => ""));
  const bad = tests.filter((test) => !test.passed).map((test) => test.name);
  if (timedOut) bad.push(`(ended after ${flags.minutes} minutes)`);
  else if (bad.length === 0 && (code !== 0 || tests.length === 0)) bad.push(`(exit code ${code})`);
  const good = tests.filter((test) => test.passed).length;
  passed += good;
  failed += bad.length;
  const counts = `${good} passed${bad.length > 0 ? `, ${bad.length} failed` : ""}`;
  console.log(
    `${bad.length === 0 ? "ok    " : "FAILED"} ${runtime.padEnd(4)} ${file}: ${counts} (${seconds} s)`,
  );
  if (bad.length === 0) return;
  failures.push(...bad.map((name) => `${runtime} ${file}: ${name}`));
  console.log(output.replace(/^/gm, "       "));
}

async function runAll(todo: Run[], jobs: number): Promise<void> {
  const next = async (): Promise<void> => {
    for (let run = todo.shift(); run !== undefined; run = todo.shift()) await runOne(run);
  };
  await Promise.all(Array.from({ length: jobs }, next));
}

const jobs = Number(flags.jobs);
await runAll(runs.filter(({ file }) => !isHeavy(file)), jobs);
await runAll(runs.filter(({ file }) => isHeavy(file)), Math.min(jobs, HEAVY_JOBS));
await rm(reports, { recursive: true });
await (await rabbitmq)?.stop();
if (failures.length > 0) console.log(`\nFailed:\n${failures.map((line) => `  ${line}`).join("\n")}\n`);
if (runs.length === 0) console.log(`no test file matches ${parts.join(" ") || flags.only}`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || runs.length === 0 ? 1 : 0);
