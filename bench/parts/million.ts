/** A million tasks through one worker: whether its memory stays flat, and whether a long queue slows it. */
import { celeriac, type Runtime, runtimeNames, startCeleriac } from "../contestants/celeriac.ts";
import { redisFloor, startFloor } from "../contestants/floor.ts";
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
  /**
   * Puts a short queue before an idle worker, and tells what `settled` was right before; undefined for a floor, which
   * has ended.
   */
  readonly refill?: () => Promise<number>;
}

export const millionOnRedis: Part = {
  name: "million_redis",
  title: "Redis: a million tasks through one worker",
  inQuick: false,
  limit: 400,
  async run(setting) {
    await setting.redis.prepare("million", MILLION, "tasks.add", [1, 2]);
    await setting.redis.prepare("short", SHORT.tasks, "tasks.add", [1, 2]);
    const runs: Run[] = [];
    for (const runtime of ["deno", "bun"] as const) {
      runs.push(await onRedis(runtime, setting), await floorOnRedis(runtime, setting));
    }
    const [deno, denoFloor, bun, bunFloor] = runs;
    return outcome(runs, [deno, bun], [
      atMost("memory of a million on Redis, Deno, to the floor's", overFloor(deno, denoFloor), 1.3),
      atMost("memory of a million on Redis, Bun, to the floor's", overFloor(bun, bunFloor), 1.3),
    ]);
  },
};

export const millionOnSqlite: Part = {
  name: "million_sqlite",
  title: "SQLite: a million tasks through one worker",
  inQuick: false,
  limit: 600,
  async run(setting) {
    const prepared = await prepareFile(setting.folder, "million", MILLION, SHORT.tasks * SHORT.times);
    const runs: Run[] = [];
    for (const runtime of ["deno", "bun"] as const) {
      runs.push(await onSqlite(runtime, prepared, setting), await floorOnSqlite(runtime, prepared, setting));
    }
    const [deno, denoFloor, bun, bunFloor] = runs;
    return outcome(runs, [deno, bun], [
      atMost("memory of a million on SQLite, Deno, to the floor's", overFloor(deno, denoFloor), 1.3),
      atMost("memory of a million on SQLite, Bun, to the floor's", overFloor(bun, bunFloor), 1.3),
    ]);
  },
};

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
      return 0;
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
    refill: async () => {
      const before = await file.settled();
      file.release(SHORT.tasks);
      return before;
    },
  }, setting).finally(() => file.delete());
}

async function floorOnSqlite(runtime: Runtime, prepared: string, setting: Setting): Promise<Run> {
  const file = await BenchFile.copy(prepared, setting.folder);
  return await watch({
    name: `floor, ${runtimeNames[runtime]}, SQLite`,
    program: startFloor("sqlite", runtime, file.url("full")),
    countsFiles: false,
    settled: () => file.settled(),
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
  refill: () => Promise<number>,
  signal: AbortSignal,
): Promise<number> {
  const start = await refill();
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

function overFloor(run: Run, floor: Run): number {
  return run.memory.most / floor.memory.most;
}

/** `ours` are the runs that targets are about. */
function outcome(runs: readonly Run[], ours: readonly Run[], floors: readonly Target[]): Outcome {
  const growth = ({ memory }: Run) => memory.most / memory.warm;
  const depth = (run: Run) => run.rate / median(run.short);
  return {
    columns: ["", "tasks/s of 1,000,000", "tasks/s of 10,000", "MiB after 100,000", "most MiB after that"],
    rows: runs.map((run) => [
      run.name,
      rate(run.rate),
      run.short.length > 0 ? rate(median(run.short)) : "",
      run.memory.warm.toFixed(0),
      run.memory.most.toFixed(0),
    ]),
    targets: [
      ...ours.map((run) =>
        atMost(`memory of a million to that of its first 100,000, ${run.name}`, growth(run), 1.1)
      ),
      ...floors,
      ...ours.map((run) =>
        atLeast(`a queue of 1,000,000 to one of 10,000, ${run.name}`, depth(run), 0.9, "%")
      ),
    ],
    ratios: `a million: ${
      ours.map((run) => `${run.name} memory ${short(growth(run))}x, long to short queue ${share(depth(run))}`)
        .join(", ")
    }${floors.map(({ what, reached }) => `, ${what} ${short(reached)}x`).join("")}`,
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
