/** How fast one client publishes in bulk on Redis, beside Celery and BullMQ. */
import type { Client } from "../client.ts";
import { bullmq } from "../contestants/bullmq.ts";
import { celeriac } from "../contestants/celeriac.ts";
import { celery } from "../contestants/celery.ts";
import { rate, short, times } from "../figures.ts";
import { atLeast, type Outcome, type Part, type Setting } from "../part.ts";
import { takeTurns } from "../rounds.ts";
import { median, ratio } from "../statistics.ts";

const FULL = { ours: 100_000, celery: 6_000, bullmq: 50_000, rounds: 7, seconds: 60 };
const QUICK = { ours: 40_000, celery: 2_000, bullmq: 15_000, rounds: 3, seconds: 8 };
/** Calls before the first round, so that nobody is measured while its code is new to its runtime. */
const WARM_UP = 1_000;

interface Published {
  readonly rate: number;
  /** Microseconds of the client's processor time for each. */
  readonly cpu: number;
}

export const publishing: Part = {
  name: "publish",
  title: "Redis: publishing in bulk",
  inQuick: true,
  limit: 120,
  run,
};

async function run({ quick, redis, say }: Setting): Promise<Outcome> {
  const sizes = quick ? QUICK : FULL;
  const contestants = [
    { contestant: celeriac("deno", 0), count: sizes.ours },
    { contestant: await celery(2), count: sizes.celery },
    { contestant: bullmq(3), count: sizes.bullmq },
    { contestant: celeriac("bun", 1), count: sizes.ours },
  ];
  const clients: Client[] = contestants.map(({ contestant }) => contestant.startClient(redis));
  for (const client of clients) await client.publish(WARM_UP);
  const published = await takeTurns(
    sizes.rounds,
    sizes.seconds,
    contestants.map(({ contestant, count }, i) => async (): Promise<Published> => {
      await redis.connection(contestant.db).flushdb();
      const before = clients[i].usage().cpu;
      const speed = count / await clients[i].publish(count);
      say(`${contestant.name}: ${rate(speed)} calls/s`);
      return { rate: speed, cpu: (clients[i].usage().cpu - before) * 1000 / count };
    }),
  );
  for (const client of clients) await client.stop();

  const rates = published.map((rounds) => rounds.map(({ rate }) => rate));
  const [deno, python, node, bun] = rates;
  return {
    columns: ["", "calls/s", "each round", "calls", "CPU of the client, us a call"],
    rows: contestants.map(({ contestant, count }, i) => [
      contestant.name,
      rate(median(rates[i])),
      rates[i].map(rate).join(" "),
      count.toLocaleString("en-US"),
      short(median(published[i].map(({ cpu }) => cpu))),
    ]),
    targets: [
      atLeast("publishing on Deno, to Celery", ratio(deno, python), 30),
      atLeast("publishing on Bun, to Celery", ratio(bun, python), 30),
    ],
    ratios: `publish: deno ${times(ratio(deno, python))} celery ${times(ratio(deno, node))} bullmq, ` +
      `bun ${times(ratio(bun, python))} celery ${times(ratio(bun, node))} bullmq`,
    notes: [
      "celeriac: `app.sendTask` in a loop, the calls of a tick leave together, a thousand a tick. Celery: " +
      "`add.apply_async` in a loop on one producer. BullMQ: `queue.addBulk`, a thousand jobs each. " +
      "A call counts as published when Redis has answered.",
    ],
    rounds: contestants.map(({ contestant: { name } }, i) => ({ name, published: published[i] })),
  };
}
