/** How long one call takes from its publication to its value over RabbitMQ, when there is nothing else to do. */
import { runtimeNames, startCeleriac, startCeleriacClient } from "../contestants/celeriac.ts";
import { celeryAnywhere } from "../contestants/celery.ts";
import { short } from "../figures.ts";
import type { Outcome, Part, Setting } from "../part.ts";
import { BenchRabbitmq } from "../rabbitmq_server.ts";
import { takeTurns } from "../rounds.ts";
import { median, percentile, ratio } from "../statistics.ts";
import { pauses } from "./idle_latency.ts";

const FULL = { calls: 100, rounds: 8, seconds: 60 };
const QUICK = { calls: 30, rounds: 2, seconds: 10 };
const WARM_UP = 30;

export const amqpIdle: Part = {
  name: "amqp_idle",
  title: "RabbitMQ: from an idle call to its result, over AMQP",
  inQuick: false,
  limit: 180,
  run,
};

async function run({ quick, say }: Setting): Promise<Outcome> {
  const sizes = quick ? QUICK : FULL;
  const celery = await celeryAnywhere();
  const rabbitmq = await BenchRabbitmq.start();
  try {
    // Each has a virtual host of its own, so that nobody takes another's calls.
    const [deno, python, bun] = await Promise.all(
      ["deno", "celery", "bun"].map((name) => rabbitmq.vhost(name)),
    );
    const contestants = [
      {
        name: `celeriac, ${runtimeNames.deno}`,
        worker: startCeleriac("deno", deno),
        client: startCeleriacClient("deno", deno),
      },
      { name: "Celery", worker: celery.worker(python, "rpc://"), client: celery.client(python, "rpc://") },
      {
        name: `celeriac, ${runtimeNames.bun}`,
        worker: startCeleriac("bun", bun),
        client: startCeleriacClient("bun", bun),
      },
    ];
    for (const { client } of contestants) await client.call({ pauses: pauses(WARM_UP) });
    const latencies = await takeTurns(
      sizes.rounds,
      sizes.seconds,
      contestants.map(({ name, client }) => async () => {
        const ms = await client.call({ pauses: pauses(sizes.calls) });
        say(`${name}: p50 ${short(median(ms))} ms, p99 ${short(percentile(ms, 0.99))} ms`);
        return ms;
      }),
    );
    for (const { client, worker } of contestants) {
      await client.stop();
      await worker.kill();
    }
    const p50 = latencies.map((rounds) => rounds.map(median));
    return {
      columns: ["", "p50, ms", "p99, ms", "p50 of each round, ms"],
      rows: contestants.map(({ name }, i) => [
        name,
        short(median(latencies[i].flat())),
        short(percentile(latencies[i].flat(), 0.99)),
        p50[i].map(short).join(" "),
      ]),
      targets: [],
      ratios: `amqp idle p50: deno ${short(ratio(p50[0], p50[1]))}x celery, bun ${
        short(ratio(p50[2], p50[1]))
      }x celery`,
      notes: [
        `One client and one idle worker each; ${
          sizes.calls * sizes.rounds
        } calls one after the other, results by ` +
        "rpc://. celeriac: `await app.sendTask(...)`, the task confirmed by the broker, the result confirmed before the " +
        "task is acknowledged. Celery: `add.delay(1, 2).get()`, no confirms, acknowledged before it runs.",
      ],
      rounds: contestants.map(({ name }, i) => ({ name, ms: latencies[i] })),
    };
  } finally {
    await rabbitmq.stop();
  }
}
