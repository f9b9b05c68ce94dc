/** Tasks that compute for about a millisecond: what a second isolate is worth. */
import { celeriac, type Runtime, runtimeNames, runtimes } from "../contestants/celeriac.ts";
import { rate, short } from "../figures.ts";
import { atLeast, type Outcome, type Part, type Setting } from "../part.ts";
import { Program, ROOT } from "../process.ts";
import { type Drainer, drainRedis } from "../redis_drain.ts";
import { takeTurns } from "../rounds.ts";
import { median, ratio } from "../statistics.ts";
import { compute } from "../tasks.ts";

const FULL = { tasks: 4_000, rounds: 5, seconds: 90 };
const QUICK = { tasks: 1_500, rounds: 2, seconds: 10 };

export const computing: Part = {
  name: "computing",
  title: "Tasks that compute",
  inQuick: false,
  limit: 180,
  run,
};

async function run(setting: Setting): Promise<Outcome> {
  const { redis } = setting;
  const sizes = setting.quick ? QUICK : FULL;
  const work = workOfAMillisecond();
  await redis.prepare("work", sizes.tasks, "tasks.compute", [work]);
  const drainers: Drainer[] = [celeriac("deno", 0), celeriac("bun", 1)].flatMap((contestant) =>
    [1, 2].map((concurrency) => ({
      contestant: {
        ...contestant,
        name: `${contestant.name}, ${named(concurrency)}`,
      },
      options: { concurrency },
      tasks: sizes.tasks,
      fill: () => redis.fill(contestant.db, "work"),
    }))
  );
  const turns = drainers.map((drainer) => () => drainRedis(drainer, setting));
  const drains = await takeTurns(sizes.rounds, sizes.seconds, turns);
  const floors = (["deno", "bun"] as const).flatMap((runtime) =>
    [1, 2].map((isolates) => ({
      runtime,
      isolates,
      name: `floor, ${runtimeNames[runtime]}, ${named(isolates)}`,
    }))
  );
  const bare = await takeTurns(
    sizes.rounds,
    sizes.seconds,
    floors.map(({ runtime, isolates }) => () => bareRate(runtime, isolates, sizes.tasks / 2, work)),
  );
  const rates = drains.map((rounds) => rounds.map(({ rate }) => rate));
  const [deno, bun] = [ratio(rates[1], rates[0]), ratio(rates[3], rates[2])];
  const [bareDeno, bareBun] = [ratio(bare[1], bare[0]), ratio(bare[3], bare[2])];
  return {
    columns: ["", "tasks/s", "each round", "CPU of the worker, us a task"],
    rows: [
      ...drainers.map(({ contestant }, i) => [
        contestant.name,
        rate(median(rates[i])),
        rates[i].map(rate).join(" "),
        short(median(drains[i].map(({ cpu }) => cpu.worker))),
      ]),
      ...floors.map(({ name }, i) => [name, rate(median(bare[i])), bare[i].map(rate).join(" "), ""]),
    ],
    targets: [
      atLeast("two isolates to one, computing, Deno", deno, 1.8),
      atLeast("two isolates to one, computing, Bun", bun, 1.8),
    ],
    ratios: `computing, 2 isolates to 1: deno ${short(deno)}x (floor ${short(bareDeno)}x) ` +
      `bun ${short(bun)}x (floor ${short(bareBun)}x)`,
    notes: [
      `Each task does the same ${
        work.toLocaleString("en-US")
      } rounds of arithmetic, about a millisecond of one core. ` +
      "Redis and the worker's main thread need the same two cores. The floor is bare Web Workers that do the same work, " +
      `with nothing else on the machine: two of them do ${short(bareDeno)} times (Deno) and ${
        short(bareBun)
      } times (Bun) what one does.`,
    ],
    rounds: { rates, bare },
  };
}

function named(isolates: number): string {
  return isolates === 1 ? "1 isolate" : `${isolates} isolates`;
}

/** Tasks a second of bare isolates. */
async function bareRate(runtime: Runtime, isolates: number, tasks: number, work: number): Promise<number> {
  const floor = `${ROOT}bench/floors/computing.ts`;
  const program = new Program([...runtimes[runtime], floor, ...[isolates, tasks, work].map(String)]);
  const { seconds } = JSON.parse(await program.line(/^\{/)) as { seconds: number };
  await program.kill();
  return isolates * tasks / seconds;
}

/** How many rounds of `compute` take a millisecond here, when nothing holds them up. */
function workOfAMillisecond(): number {
  const rounds = 1_000_000;
  let best = Infinity;
  for (let i = 0; i < 10; i++) {
    const began = performance.now();
    compute(rounds);
    best = Math.min(best, performance.now() - began);
  }
  return Math.round(rounds / best / 1_000) * 1_000;
}
