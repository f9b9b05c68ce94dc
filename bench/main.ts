/**
 * `make bench`: runs the parts one after the other, each with a Redis and a folder of its own, keeps what came of each in
 * `bench/results/`, and writes `bench/README.md` from that. A part that fails or takes too long costs no other.
 *
 *     deno run -A bench/main.ts [--quick] [--resume] [PART ...]
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { commit, machine, versions } from "./machine.ts";
import type { Outcome, Part, Setting } from "./part.ts";
import { amqpDrain } from "./parts/amqp_drain.ts";
import { amqpIdle } from "./parts/amqp_idle.ts";
import { computing } from "./parts/computing.ts";
import { delayed } from "./parts/delayed.ts";
import { idleLatency } from "./parts/idle_latency.ts";
import { inFlight } from "./parts/in_flight.ts";
import { manyQueues } from "./parts/many_queues.ts";
import { millionOnRedis, millionOnSqlite } from "./parts/million.ts";
import { messages } from "./parts/messages.ts";
import { mixed } from "./parts/mixed.ts";
import { publishing } from "./parts/publish.ts";
import { redisDrain } from "./parts/redis_drain.ts";
import { sqliteDrain } from "./parts/sqlite_drain.ts";
import { starting } from "./parts/start.ts";
import { timers } from "./parts/timers.ts";
import { waiting } from "./parts/waiting.ts";
import { workflows } from "./parts/workflows.ts";
import { killAll, ROOT } from "./process.ts";
import { BenchRedis } from "./redis_server.ts";
import { page, ratioLine, type Result } from "./table.ts";

const PARTS: readonly Part[] = [
  ...[redisDrain, publishing, idleLatency, manyQueues, sqliteDrain, amqpDrain, amqpIdle],
  ...[
    millionOnRedis,
    millionOnSqlite,
    delayed,
    waiting,
    computing,
    mixed,
    messages,
    timers,
    inFlight,
    workflows,
    starting,
  ],
];

const { values: flags, positionals: names } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: "boolean", default: false }, resume: { type: "boolean", default: false } },
});
const unknown = names.filter((name) => !PARTS.some((part) => part.name === name));
if (unknown.length > 0) {
  console.error(
    `no part of the bench: ${unknown.join(", ")}; there are ${PARTS.map(({ name }) => name).join(", ")}`,
  );
  process.exit(2);
}
const folder = join(ROOT, "bench/results", flags.quick ? "quick" : "full");
await mkdir(folder, { recursive: true });
for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => process.exit(130));

// What a part that was given up leaves behind concerns no other.
process.on("unhandledRejection", (error) => console.error(`left over: ${error}`));

const now = await commit();
const chosen = PARTS.filter(({ name, inQuick }) =>
  names.length > 0 ? names.includes(name) : inQuick || !flags.quick
);
let failed = 0;
for (const part of chosen) {
  const before = await read(part);
  if (flags.resume && before?.commit === now && before.outcome !== undefined) continue;
  const result = await runPart(part);
  if (result.error !== undefined) failed++;
  await writeFile(join(folder, `${part.name}.json`), JSON.stringify(result));
  if (!flags.quick) await writePage();
}
const results = await readAll(chosen);
if (flags.quick) { for (const { title, outcome } of results) if (outcome) print(title, outcome); }
console.log(ratioLine(results));
process.exit(failed === 0 ? 0 : 1);

/** Runs a part within its time, and ends whatever it has started. */
async function runPart(part: Part): Promise<Result> {
  const began = performance.now();
  const say = (line: string) =>
    console.log(`${part.name} ${((performance.now() - began) / 1000).toFixed(0)} s: ${line}`);
  const scratch = await mkdtemp(join(tmpdir(), "celeriac-bench-"));
  let redis: BenchRedis | undefined;
  let timer;
  let came: { outcome: Outcome } | { error: string };
  try {
    redis = await BenchRedis.start();
    const late = new AbortController();
    timer = setTimeout(() => {
      late.abort(new Error(`it took longer than ${part.limit} s`));
      void killAll();
    }, part.limit * 1000);
    const setting: Setting = { quick: flags.quick, redis, folder: scratch, signal: late.signal, say };
    came = { outcome: await Promise.race([part.run(setting), aborted(late.signal)]) };
  } catch (error) {
    came = { error: String(error) };
    say(came.error);
  }
  clearTimeout(timer);
  await killAll();
  await redis?.stop();
  await rm(scratch, { recursive: true, force: true });
  const seconds = (performance.now() - began) / 1000;
  return { name: part.name, title: part.title, at: new Date().toISOString(), seconds, commit: now, ...came };
}

/** Rejects a while after the signal has aborted: until then a part that is given up ends by itself. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => setTimeout(() => reject(signal.reason), 5_000), { once: true });
  });
}

async function read(part: Part): Promise<Result | undefined> {
  try {
    return JSON.parse(await readFile(join(folder, `${part.name}.json`), "utf8"));
  } catch {
    return undefined;
  }
}

async function readAll(parts: readonly Part[]): Promise<Result[]> {
  return (await Promise.all(parts.map(read))).filter((result) => result !== undefined);
}

async function writePage(): Promise<void> {
  await writeFile(join(ROOT, "bench/README.md"), page(await readAll(PARTS), machine(), await versions()));
}

function print(title: string, { columns, rows }: Outcome): void {
  const widths = columns.map((column, i) => Math.max(column.length, ...rows.map((row) => row[i].length)));
  const line = (cells: readonly string[]) =>
    cells.map((cell, i) => i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])).join("  ").trimEnd();
  console.log(`\n${[title, line(columns), ...rows.map(line)].join("\n")}\n`);
}
