/** How long one call takes from its publication to its value on Redis, when there is nothing else to do. */
import type { Client } from "../client.ts";
import { bullmq } from "../contestants/bullmq.ts";
import { celeriac } from "../contestants/celeriac.ts";
import { celery } from "../contestants/celery.ts";
import { short } from "../figures.ts";
import { atMost, type Outcome, type Part, type Setting } from "../part.ts";
import type { Program } from "../process.ts";
import { takeTurns } from "../rounds.ts";
import { median, percentile, ratio } from "../statistics.ts";

const FULL = { calls: 100, rounds: 10, seconds: 90 };
const QUICK = { calls: 50, rounds: 4, seconds: 15 };
const WARM_UP = 30;
/** Milliseconds before a call, at random between these. */
const PAUSE = { shortest: 2, longest: 25 };

export const idleLatency: Part = {
  name: "idle_latency",
  title: "Redis: from an idle call to its result",
  inQuick: true,
  limit: 180,
  run,
};

/** Pauses at random. */
export function pauses(count: number): number[] {
  return Array.from(
    { length: count },
    () => PAUSE.shortest + Math.random() * (PAUSE.longest - PAUSE.shortest),
  );
}

async function run({ quick, redis, say }: Setting): Promise<Outcome> {
  const sizes = quick ? QUICK : FULL;
  const contestants = [celeriac("deno", 0), bullmq(3), celeriac("bun", 1), await celery(2)];
  const workers: Program[] = contestants.map((contestant) => contestant.startWorker(redis));
  const clients: Client[] = contestants.map((contestant) => contestant.startClient(redis));
  for (const client of clients) await client.call({ pauses: pauses(WARM_UP) });
  const latencies = await takeTurns(
    sizes.rounds,
    sizes.seconds,
    clients.map((client, i) => async () => {
      const ms = await client.call({ pauses: pauses(sizes.calls) });
      say(`${contestants[i].name}: p50 ${short(median(ms))} ms, p99 ${short(percentile(ms, 0.99))} ms`);
      return ms;
    }),
  );
  for (const each of [...clients, ...workers]) await ("stop" in each ? each.stop() : each.kill());

  const p50 = latencies.map((rounds) => rounds.map(median));
  const p99 = latencies.map((rounds) => percentile(rounds.flat(), 0.99));
  const [deno, node, bun, python] = p50;
  return {
    columns: ["", "p50, ms", "p99, ms", "p50 of each round, ms"],
    rows: contestants.map(({ name }, i) => [
      name,
      short(median(latencies[i].flat())),
      short(p99[i]),
      p50[i].map(short).join(" "),
    ]),
    targets: [
      atMost("idle call on Deno, p50, to BullMQ's", ratio(deno, node), 0.5),
      atMost("idle call on Deno, p99, to BullMQ's", p99[0] / p99[1], 0.5),
      atMost("idle call on Bun, p50, to BullMQ's", ratio(bun, node), 0.5),
      atMost("idle call on Bun, p99, to BullMQ's", p99[2] / p99[1], 0.5),
    ],
    ratios: `idle p50: deno ${short(ratio(deno, node))}x bullmq ${short(ratio(deno, python))}x celery, ` +
      `bun ${short(ratio(bun, node))}x bullmq ${short(ratio(bun, python))}x celery, ` +
      `p99: deno ${short(p99[0] / p99[1])}x bullmq, bun ${short(p99[2] / p99[1])}x bullmq`,
    notes: [
      `One client and one idle worker each; ${
        sizes.calls * sizes.rounds
      } calls one after the other, with pauses of ` +
      `${PAUSE.shortest} to ${PAUSE.longest} ms before them. All are alive all the time, one at a time is called. ` +
      "celeriac: `await app.sendTask(...)`. BullMQ: `queue.add`, then `job.waitUntilFinished`. Celery: " +
      "`add.delay(1, 2).get()`.",
    ],
    rounds: contestants.map(({ name }, i) => ({ name, ms: latencies[i] })),
  };
}
