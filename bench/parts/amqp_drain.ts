/** How fast a worker empties a queue on RabbitMQ with its results over AMQP, beside the floor and Celery. */
import { type Runtime, runtimeNames, startCeleriac } from "../contestants/celeriac.ts";
import { celeryAnywhere } from "../contestants/celery.ts";
import { startFloor } from "../contestants/floor.ts";
import { type Drained, watchDrain } from "../drain.ts";
import { rate, share, short, times } from "../figures.ts";
import { atLeast, type Outcome, type Part, type Setting } from "../part.ts";
import type { Program } from "../process.ts";
import { BenchRabbitmq } from "../rabbitmq_server.ts";
import { takeTurns } from "../rounds.ts";
import { median, ratio } from "../statistics.ts";

const FULL = { ours: 60_000, celery: 6_000, rounds: 5, seconds: 150 };
const QUICK = { ours: 30_000, celery: 3_000, rounds: 3, seconds: 40 };

interface Drainer {
  readonly name: string;
  readonly tasks: number;
  start(url: string): Program;
}

export const amqpDrain: Part = {
  name: "amqp_drain",
  title: "RabbitMQ: draining a queue, results over AMQP",
  inQuick: false,
  limit: 300,
  run,
};

async function run(setting: Setting): Promise<Outcome> {
  const sizes = setting.quick ? QUICK : FULL;
  const rabbitmq = await BenchRabbitmq.start();
  try {
    const celery = await celeryAnywhere();
    const ours = (runtime: Runtime): Drainer[] => [
      {
        name: `floor, ${runtimeNames[runtime]}`,
        tasks: sizes.ours,
        start: (url) => startFloor("amqp", runtime, url),
      },
      {
        name: `celeriac, ${runtimeNames[runtime]}`,
        tasks: sizes.ours,
        start: (url) => startCeleriac(runtime, url),
      },
    ];
    const drainers: Drainer[] = [
      ...ours("deno"),
      { name: "Celery", tasks: sizes.celery, start: (url) => celery.worker(url, "rpc://") },
      ...ours("bun").reverse(),
    ];
    const turns = drainers.map((drainer) => () => drain(drainer, rabbitmq, setting));
    return outcome(drainers, await takeTurns(sizes.rounds, sizes.seconds, turns));
  } finally {
    await rabbitmq.stop();
  }
}

async function drain(
  { name, tasks, start }: Drainer,
  rabbitmq: BenchRabbitmq,
  { say, signal }: Setting,
): Promise<Drained> {
  await rabbitmq.fill(tasks);
  const worker = start(rabbitmq.url);
  const drained = await watchDrain({
    settled: () => rabbitmq.settled(),
    total: tasks,
    worker: () => worker.usage().cpu,
    server: () => rabbitmq.cpu(),
    alive: () => worker.isRunning,
    signal,
  });
  await worker.kill();
  say(`${name}: ${rate(drained.rate)} tasks/s`);
  return drained;
}

function outcome(drainers: readonly Drainer[], drains: readonly (readonly Drained[])[]): Outcome {
  const rates = drains.map((rounds) => rounds.map(({ rate }) => rate));
  const [denoFloor, deno, celery, bun, bunFloor] = rates;
  return {
    columns: [
      "",
      "tasks/s",
      "each round",
      "tasks",
      "CPU of the worker, us a task",
      "CPU of RabbitMQ, us a task",
    ],
    rows: drainers.map(({ name, tasks }, i) => [
      name,
      rate(median(rates[i])),
      rates[i].map(rate).join(" "),
      tasks.toLocaleString("en-US"),
      short(median(drains[i].map(({ cpu }) => cpu.worker))),
      short(median(drains[i].map(({ cpu }) => cpu.server))),
    ]),
    targets: [
      atLeast("AMQP drain on Deno, to its floor", ratio(deno, denoFloor), 0.8, "%"),
      atLeast("AMQP drain on Deno, to Celery", ratio(deno, celery), 5.5),
      atLeast("AMQP drain on Bun, to its floor", ratio(bun, bunFloor), 0.8, "%"),
      atLeast("AMQP drain on Bun, to Celery", ratio(bun, celery), 5.5),
    ],
    ratios:
      `amqp drain: deno ${times(ratio(deno, celery))} celery ${
        share(ratio(deno, denoFloor))
      } of the floor, ` +
      `bun ${times(ratio(bun, celery))} celery ${share(ratio(bun, bunFloor))} of the floor`,
    notes: [
      "Each queue is filled by celeriac's client with the same messages, then the worker starts; all results go to one " +
      "queue that nobody reads, and the time runs from the first result in it to the last, as an onlooker counts them.",
      "The floor is the same calls of amqplib with two bare isolates in a loop, without the worker (`floors/amqp.ts`). " +
      "Celery keeps its results over AMQP in memory, celeriac has the broker write them to disk.",
    ],
    rounds: drainers.map(({ name }, i) => ({ name, drains: drains[i].map(({ looks: _, ...rest }) => rest) })),
  };
}
