/** A million tasks that are due in a day: how fast a worker puts them aside, and what they cost its memory. */
import { type Runtime, runtimeNames, startCeleriac } from "../contestants/celeriac.ts";
import { rate, short } from "../figures.ts";
import { atMost, type Outcome, type Part, type Setting } from "../part.ts";
import { publish } from "../redis_server.ts";

const FULL = { tasks: 1_000_000, warm: 100_000 };
const QUICK = { tasks: 100_000, warm: 20_000 };
const DAY_S = 86_400;
/** One after the other in the same database, so that a million stand in the server at most. */
const DB = 0;
const SCHEDULE = "celeriac.schedule.celery";
const LOOK_EVERY_MS = 200;
const MIB = 2 ** 20;

/** What one worker did. */
interface Run {
  readonly name: string;
  readonly rate: number;
  /** MiB: when some were put aside, the most after that, and when all were and it had nothing to do. */
  readonly warm: number;
  readonly most: number;
  readonly idle: number;
}

export const delayed: Part = {
  name: "delayed",
  title: "A million tasks that are due in a day",
  inQuick: false,
  limit: 600,
  run,
};

async function run(setting: Setting): Promise<Outcome> {
  const runs: Run[] = [];
  for (const runtime of ["deno", "bun"] as const) runs.push(await putAside(runtime, setting));
  const growth = ({ warm, most }: Run) => most / warm;
  return {
    columns: ["", "put aside, tasks/s", "MiB at first", "most MiB after that", "MiB with all put aside"],
    rows: runs.map((
      run,
    ) => [run.name, rate(run.rate), ...[run.warm, run.most, run.idle].map((mib) => mib.toFixed(0))]),
    targets: runs.map((run) =>
      atMost(`memory with all delayed tasks to that with a tenth, ${run.name}`, growth(run), 1.2)
    ),
    ratios: `delayed: memory ${runs.map((run) => `${run.name} ${short(growth(run))}x`).join(", ")}`,
    notes: [
      "They are published to the queue with an ETA, as Celery's clients do; the worker moves each to the broker's " +
      "schedule. Memory is the RSS of the worker.",
    ],
    rounds: runs,
  };
}

async function putAside(runtime: Runtime, { redis, quick, say, signal }: Setting): Promise<Run> {
  const { tasks, warm: first } = quick ? QUICK : FULL;
  const name = runtimeNames[runtime];
  const database = redis.connection(DB);
  await database.flushdb();
  await publish(redis.url(DB), tasks, "tasks.add", [1, 2], undefined, { countdown: DAY_S });
  const program = startCeleriac(runtime, redis.url(DB));
  const memory = () => program.usage().memory / MIB;
  let began = 0, from = 0, warm = 0, most = 0;
  for (let aside = 0; aside < tasks;) {
    signal.throwIfAborted();
    await pause(LOOK_EVERY_MS);
    aside = await database.zcard(SCHEDULE);
    if (aside < first) continue;
    if (warm === 0) [warm, began, from] = [memory(), performance.now(), aside];
    most = Math.max(most, memory());
  }
  const speed = (tasks - from) * 1000 / (performance.now() - began);
  await pause(2_000);
  const idle = memory();
  await program.kill();
  await database.flushdb();
  say(`${name}: ${rate(speed)} tasks/s, ${most.toFixed(0)} MiB`);
  return { name, rate: speed, warm, most, idle };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
