/** How fast workers empty a queue in an SQLite file: one beside the floor and Redis, and several on one file. */
import { celeriac } from "../contestants/celeriac.ts";
import type { Drained } from "../drain.ts";
import { rate, share, short } from "../figures.ts";
import { atLeast, type Outcome, type Part, type Setting } from "../part.ts";
import { drainRedis } from "../redis_drain.ts";
import { takeTurns } from "../rounds.ts";
import { drainFile, nameOf, type PreparedFiles } from "../sqlite_drain.ts";
import { prepareFile, type Synchronous } from "../sqlite_file.ts";
import { median, ratio } from "../statistics.ts";

const FULL = {
  tasks: 150_000,
  rounds: 3,
  seconds: 200,
  synchronous: ["full", "normal"],
  workers: [0, 1, 2, 4],
} as const;
const QUICK = { tasks: 50_000, rounds: 2, seconds: 16, synchronous: ["full"], workers: [0, 1] } as const;

/** One line of the table. */
interface Line {
  readonly name: string;
  drain(): Promise<Drained>;
}

export const sqliteDrain: Part = {
  name: "sqlite_drain",
  title: "SQLite: draining a queue",
  inQuick: true,
  limit: 400,
  run,
};

async function run(setting: Setting): Promise<Outcome> {
  const { quick, redis, folder } = setting;
  const sizes = quick ? QUICK : FULL;
  const { tasks } = sizes;
  const files: PreparedFiles = {
    tasks,
    waiting: await prepareFile(folder, "waiting", tasks),
    held: await prepareFile(folder, "held", 0, tasks),
  };
  await redis.prepare("ours", tasks, "tasks.add", [1, 2]);
  const lines: Line[] = [];
  for (const [db, runtime] of (["deno", "bun"] as const).entries()) {
    const contestant = celeriac(runtime, db);
    const onRedis = { contestant, tasks, fill: () => redis.fill(db, "ours") };
    lines.push({ name: `${contestant.name}, on Redis`, drain: () => drainRedis(onRedis, setting) });
    for (const synchronous of sizes.synchronous) {
      for (const workers of sizes.workers) {
        const drainer = { runtime, synchronous, workers };
        lines.push({ name: nameOf(drainer), drain: () => drainFile(drainer, files, setting) });
      }
    }
  }
  const drains = await takeTurns(sizes.rounds, sizes.seconds, lines.map(({ drain }) => drain));
  return outcome(lines, drains, tasks, sizes.synchronous);
}

function outcome(
  lines: readonly Line[],
  drains: readonly (readonly Drained[])[],
  tasks: number,
  modes: readonly Synchronous[],
): Outcome {
  const rates = drains.map((rounds) => rounds.map(({ rate }) => rate));
  const of = (name: string) => rates[lines.findIndex((line) => line.name === name)];
  const compared = (["Deno", "Bun"] as const).flatMap((runtime) =>
    modes.map((mode) => {
      const kind = `${runtime}, ${mode.toUpperCase()}`;
      const ours = of(`celeriac, ${kind}`);
      return {
        kind,
        floor: ratio(ours, of(`floor, ${kind}`)),
        redis: ratio(ours, of(`celeriac, ${runtime}, on Redis`)),
      };
    })
  );
  return {
    columns: ["", "tasks/s", "each round", "CPU of the workers, us a task"],
    rows: lines.map(({ name }, i) => [
      name,
      rate(median(rates[i])),
      rates[i].map(rate).join(" "),
      short(median(drains[i].map(({ cpu }) => cpu.worker))),
    ]),
    targets: compared.flatMap(({ kind, floor, redis }) => [
      atLeast(`SQLite drain, ${kind}, to its floor`, floor, 0.75, "%"),
      atLeast(`SQLite drain, ${kind}, to Redis`, redis, 1),
    ]),
    ratios: `sqlite drain: ${
      compared.map(({ kind, floor, redis }) => `${kind} ${share(floor)} of the floor ${short(redis)}x redis`)
        .join(", ")
    }`,
    notes: [
      `${
        tasks.toLocaleString("en-US")
      } tasks wait in a fresh copy of one file. Several workers are all ready before ` +
      "the tasks are released in one commit. FULL and NORMAL are SQLite's `synchronous`.",
      "The floor is celeriac's own statements and connection with two bare isolates in a loop (`floors/sqlite.ts`).",
    ],
    rounds: lines.map(({ name }, i) => ({ name, drains: drains[i].map(({ looks: _, ...rest }) => rest) })),
  };
}
