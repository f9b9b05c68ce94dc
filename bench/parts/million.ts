/** A million tasks through one worker: whether its memory stays flat, and whether a long queue slows it. */
import { celeriac, type Runtime, runtimeNames, startCeleriac } from "../contestants/celeriac.ts";
import { redisFloor } from "../contestants/floor.ts";
import { rate, share, short } from "../figures.ts";
import { atLeast, atMost, type Outcome, type Part, type Setting, type Target } from "../part.ts";
import type { Program } from "../process.ts";
import { QUEUE } from "../redis_server.ts";
import { BenchFile, prepareFile } from "../sqlite_file.ts";
import { median } from "../statistics.ts";

const MILLION = 1_000_000;
/** Until here a worker may grow, and its code gets warm. */
const WARM = 100_000;
/** Then it drains short queues, one after the other. */
const SHORT = { tasks: 10_000, times: 20 };
const SAMPLE_EVERY_MS = 1_000;
const MIB = 2 ** 20;

/** One worker and what it did. */
interface Run {
  readonly name: string;
  /** Tasks a second, from the first 100,000 to the last. */
  readonly rate: number;
  /** Tasks a second of each short queue. */
  readonly short: readonly number[];
  /** MiB: when 100,000 were done, and the most after that. */
  readonly memory: { readonly warm: number; readonly most: number };
  readonly samples: readonly (readonly [settled: number, mebibytes: number])[];
}

/** Where a run takes place. */
interface Place {
  readonly name: string;
  readonly program: Program;
  /** Whether files count that are mapped into memory; a database is. */
  readonly countsFiles: boolean;
  settled(): Promise<number>;
  /** Puts a short queue before an idle worker; undefined for a floor, which has ended. */
  readonly refill?: () => Promise<void>;
}

export const million: Part = {
  name: "million",
  title: "A million tasks through one worker",
  inQuick: false,
  limit: 600,
  run,
};

async function run(setting: Setting): Promise<Outcome> {
  const runs: Run[] = [];
  await setting.redis.prepare("million", MILLION, "tasks.add", [1, 2]);
  await setting.redis.prepare("short", SHORT.tasks, "tasks.add", [1, 2]);
  for (const runtime of ["deno", "bun"] as const) {
    runs.push(await onRedis(runtime, setting), await floorOnRedis(runtime, setting));
  }
  const prepared = await prepareFile(setting.folder, "million", MILLION, SHORT.tasks * SHORT.times);
  for (const runtime of ["deno", "bun"] as const) runs.push(await onSqlite(runtime, prepared, setting));
  return outcome(runs);
}

async function onRedis(runtime: Runtime, setting: Setting): Promise<Run> {
  const { redis } = setting;
  const contestant = celeriac(runtime, 0);
  await redis.fill(contestant.db, "million");
  return await watch({
    name: `${contestant.name}, Redis`,
    program: contestant.startWorker(redis),
    countsFiles: true,
    settled: () => contestant.settled(redis),
    refill: async () => {
      const database = redis.connection(contestant.db);
      await database.flushdb();
      await redis.copy("short", contestant.db, "staged");
      await database.rename("staged", QUEUE);
    },
  }, setting).finally(() => redis.connection(contestant.db).flushdb());
}

async function floorOnRedis(runtime: Runtime, setting: Setting): Promise<Run> {
  const { redis } = setting;
  const contestant = redisFloor(runtime, 0);
  await redis.fill(contestant.db, "million");
  return await watch({
    name: `${contestant.name}, Redis`,
    program: contestant.startWorker(redis),
    countsFiles: true,
    settled: () => contestant.settled(redis),
  }, setting).finally(() => redis.connection(contestant.db).flushdb());
}

async function onSqlite(runtime: Runtime, prepared: string, setting: Setting): Promise<Run> {
  const file = await BenchFile.copy(prepared, setting.folder);
  return await watch({
    name: `celeriac, ${runtimeNames[runtime]}, SQLite`,
    program: startCeleriac(runtime, file.url("full")),
    countsFiles: false,
    settled: () => file.settled(),
    refill: () => Promise.resolve(file.release(SHORT.tasks)),
  }, setting).finally(() => file.delete());
}

async function watch(place: Place, { say, signal }: Setting): Promise<Run> {
  const { name, program, countsFiles, settled, refill } = place;
  const samples: [number, number][] = [];
  let began = 0, from = 0, warm = 0;
  for (let count = 0, sampled = 0; count < MILLION;) {
    signal.throwIfAborted();
    await pause(10);
    count = await settled();
    const now = performance.now();
    const isWarm = warm === 0 && count >= WARM;
    if (isWarm || now - sampled >= SAMPLE_EVERY_MS || count >= MILLION) {
      const usage = program.usage();
      const memory = (countsFiles ? usage.memory : usage.private) / MIB;
      // A floor ends with its queue.
      if (memory > 0) samples.push([count, memory]);
      sampled = now;
      if (isWarm) [warm, began, from] = [memory, now, count];
    }
  }
  const speed = (MILLION - from) * 1000 / (performance.now() - began);
  const short: number[] = [];
  for (let i = 0; i < SHORT.times && refill !== undefined; i++) {
    // It is idle again before the next comes.
    await pause(50);
    short.push(await drainShort(settled, refill, signal));
  }
  await program.kill();
  const most = Math.max(warm, ...samples.filter(([count]) => count >= WARM).map(([, memory]) => memory));
  say(`${name}: ${rate(speed)} tasks/s, ${most.toFixed(0)} MiB`);
  return { name, rate: speed, short, memory: { warm, most }, samples };
}

/** Tasks a second of a short queue, from the first result to the last. */
async function drainShort(
  settled: () => Promise<number>,
  refill: () => Promise<void>,
  signal: AbortSignal,
): Promise<number> {
  await refill();
  const base = await settled();
  const start = base >= MILLION ? base : 0;
  let first: readonly [number, number] | undefined;
  for (;;) {
    signal.throwIfAborted();
    const done = await settled() - start;
    const now = performance.now();
    if (done >= SHORT.tasks) return (SHORT.tasks - first![1]) * 1000 / (now - first![0]);
    if (done > 0) first ??= [now, done];
    await pause(1);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function outcome(runs: readonly Run[]): Outcome {
  const growth = ({ memory }: Run) => memory.most / memory.warm;
  const depth = (run: Run) => run.rate / median(run.short);
  const [deno, denoFloor, bun, bunFloor, denoFile, bunFile] = runs;
  const targets: Target[] = [
    atMost("memory after a million to after 100,000, Deno", growth(deno), 1.1),
    atMost("memory after a million to after 100,000, Bun", growth(bun), 1.1),
    atMost("memory of a million, to the floor's, Deno", deno.memory.most / denoFloor.memory.most, 1.3),
    atMost("memory of a million, to the floor's, Bun", bun.memory.most / bunFloor.memory.most, 1.3),
    ...[deno, bun, denoFile, bunFile].map((run) =>
      atLeast(`a queue of 1,000,000 to one of 10,000, ${run.name}`, depth(run), 0.9, "%")
    ),
  ];
  return {
    columns: ["", "tasks/s of 1,000,000", "tasks/s of 10,000", "MiB after 100,000", "most MiB after that"],
    rows: runs.map((run) => [
      run.name,
      rate(run.rate),
      run.short.length > 0 ? rate(median(run.short)) : "",
      run.memory.warm.toFixed(0),
      run.memory.most.toFixed(0),
    ]),
    targets,
    ratios:
      `million: memory deno ${short(growth(deno))}x of warm ${
        short(deno.memory.most / denoFloor.memory.most)
      }x of the floor, bun ${short(growth(bun))}x ${short(bun.memory.most / bunFloor.memory.most)}x, ` +
      `long queue to short deno ${share(depth(deno))} bun ${share(depth(bun))}`,
    notes: [
      "Memory (RSS of the worker) is looked at every second; on SQLite without what is mapped from files, since the " +
      "database itself is. The speed of the million leaves out its first 100,000. Then the same worker drains " +
      `${SHORT.times} queues of ${
        SHORT.tasks.toLocaleString("en-US")
      } one after the other; their median stands here.`,
    ],
    rounds: runs,
  };
}
