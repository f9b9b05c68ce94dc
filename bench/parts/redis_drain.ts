/** How fast a worker empties a queue on Redis, beside the floor, Celery and BullMQ. */
import { bullmq } from "../contestants/bullmq.ts";
import { celeriac } from "../contestants/celeriac.ts";
import { celery } from "../contestants/celery.ts";
import { redisFloor } from "../contestants/floor.ts";
import type { Drained } from "../drain.ts";
import { rate, share, short, times } from "../figures.ts";
import { atLeast, type Outcome, type Part, type Setting } from "../part.ts";
import { type Drainer, drainRedis } from "../redis_drain.ts";
import { takeTurns } from "../rounds.ts";
import { median, ratio } from "../statistics.ts";

/** Tasks that wait: each contestant gets as many as it needs a second or more for. */
interface Sizes {
  readonly ours: number;
  readonly celery: number;
  readonly bullmq: number;
  readonly rounds: number;
  /** After which no round begins. */
  readonly seconds: number;
}

const FULL: Sizes = { ours: 200_000, celery: 6_000, bullmq: 60_000, rounds: 5, seconds: 120 };
const QUICK: Sizes = { ours: 60_000, celery: 2_000, bullmq: 20_000, rounds: 2, seconds: 18 };

export const redisDrain: Part = {
  name: "redis_drain",
  title: "Redis: draining a queue",
  inQuick: true,
  limit: 240,
  run,
};

async function run(setting: Setting): Promise<Outcome> {
  const { quick, redis } = setting;
  const sizes = quick ? QUICK : FULL;
  const python = await celery(4);
  const node = bullmq(5);
  const publisher = node.startClient(redis);
  await redis.prepare("ours", sizes.ours, "tasks.add", [1, 2]);
  await redis.prepare("celery", sizes.celery, "tasks.add", [1, 2]);
  const ours = (contestant: Drainer["contestant"]): Drainer => {
    return { contestant, tasks: sizes.ours, fill: () => redis.fill(contestant.db, "ours") };
  };
  const drainers: Drainer[] = [
    ours(redisFloor("deno", 2)),
    ours(celeriac("deno", 0)),
    { contestant: python, tasks: sizes.celery, fill: () => redis.fill(python.db, "celery") },
    { contestant: node, tasks: sizes.bullmq, fill: () => publisher.publish(sizes.bullmq).then(() => {}) },
    ours(celeriac("bun", 1)),
    ours(redisFloor("bun", 3)),
  ];
  const turns = drainers.map((drainer) => () => drainRedis(drainer, setting));
  const drains = await takeTurns(sizes.rounds, sizes.seconds, turns);
  await publisher.stop();
  return outcome(drainers, drains);
}

function outcome(drainers: readonly Drainer[], drains: readonly (readonly Drained[])[]): Outcome {
  const rates = drains.map((rounds) => rounds.map(({ rate }) => rate));
  const [denoFloor, deno, python, node, bun, bunFloor] = rates;
  return {
    columns: [
      "",
      "tasks/s",
      "each round",
      "tasks",
      "CPU of the worker, us a task",
      "CPU of Redis, us a task",
    ],
    rows: drainers.map(({ contestant, tasks }, i) => [
      contestant.name,
      rate(median(rates[i])),
      rates[i].map(rate).join(" "),
      tasks.toLocaleString("en-US"),
      short(median(drains[i].map(({ cpu }) => cpu.worker))),
      short(median(drains[i].map(({ cpu }) => cpu.server))),
    ]),
    targets: [
      atLeast("Redis drain on Deno, to its floor", ratio(deno, denoFloor), 0.8, "%"),
      atLeast("Redis drain on Deno, to Celery", ratio(deno, python), 35),
      atLeast("Redis drain on Deno, to BullMQ", ratio(deno, node), 2.2),
      atLeast("Redis drain on Bun, to its floor", ratio(bun, bunFloor), 0.8, "%"),
      atLeast("Redis drain on Bun, to Celery", ratio(bun, python), 45),
      atLeast("Redis drain on Bun, to BullMQ", ratio(bun, node), 2.8),
    ],
    ratios: `redis drain: deno ${times(ratio(deno, python))} celery ${times(ratio(deno, node))} bullmq ` +
      `${share(ratio(deno, denoFloor))} of the floor, bun ${times(ratio(bun, python))} celery ` +
      `${times(ratio(bun, node))} bullmq ${share(ratio(bun, bunFloor))} of the floor`,
    notes: [
      "Each queue is filled, then its worker starts; the time runs from the first result to the last one, as an " +
      "onlooker counts them in Redis every 5 ms. Celery and celeriac get the same messages, byte for byte.",
      "The floor is celeriac's own script and two bare isolates in a loop, without its worker (`floors/redis.ts`).",
    ],
    rounds: drainers.map(({ contestant: { name } }, i) => ({
      name,
      drains: drains[i].map(({ looks: _, ...rest }) => rest),
    })),
  };
}
