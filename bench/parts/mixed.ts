/** One task in a hundred is long: how much longer the short ones take, beside Celery. */
import { App } from "../../mod.ts";
import { celeriac } from "../contestants/celeriac.ts";
import { celery } from "../contestants/celery.ts";
import type { RedisContestant } from "../contestants/contestant.ts";
import { short } from "../figures.ts";
import type { Outcome, Part, Setting } from "../part.ts";
import { median, percentile } from "../statistics.ts";

const TASKS = 3_000;
const LONG_MS = 200;
const LONG_ONE_IN = 100;
/** Calls a second; they come at random, as from many callers. */
const A_SECOND = 150;
const WORKERS = 2;
const WARM_UP = 100;

/** A call to come. */
interface Arrival {
  /** Milliseconds after the one before. */
  readonly after: number;
  readonly ms: number;
}

export const mixed: Part = {
  name: "mixed",
  title: "Short tasks among long ones",
  inQuick: false,
  limit: 180,
  run,
};

async function run(setting: Setting): Promise<Outcome> {
  const arrivals: Arrival[] = Array.from({ length: TASKS }, () => ({
    after: -Math.log(1 - Math.random()) * 1000 / A_SECOND,
    ms: Math.random() * LONG_ONE_IN < 1 ? LONG_MS : 0,
  }));
  const contestants = [celeriac("deno", 0), celeriac("bun", 1), await celery(2)];
  const latencies: [string, number[]][] = [["no overhead at all", ideal(arrivals)]];
  for (const contestant of contestants) {
    const ms = await measure(contestant, arrivals, setting);
    latencies.push([contestant.name, ms]);
    setting.say(`${contestant.name}: p99 of the short ones ${short(percentile(ms, 0.99))} ms`);
  }
  const p99 = latencies.map(([, ms]) => percentile(ms, 0.99));
  return {
    columns: ["short tasks", "p50, ms", "p90, ms", "p99, ms", "longest, ms"],
    rows: latencies.map(([name, ms]) => [
      name,
      ...[median(ms), percentile(ms, 0.9), percentile(ms, 0.99), Math.max(...ms)].map(short),
    ]),
    targets: [],
    ratios: `short among long, p99: deno ${short(p99[1] / p99[3])}x celery, bun ${
      short(p99[2] / p99[3])
    }x celery`,
    notes: [
      `${
        TASKS.toLocaleString("en-US")
      } calls at random times, ${A_SECOND} a second, the same for all; one in ` +
      `${LONG_ONE_IN} takes ${LONG_MS} ms. From the call to the end of its run, by the machine's clock. ` +
      "celeriac has two isolates of one slot, Celery two processes. The first line is what two workers that cost " +
      "nothing would reach: now and then both are in a long task.",
    ],
    rounds: latencies,
  };
}

async function measure(
  contestant: RedisContestant,
  arrivals: readonly Arrival[],
  { redis }: Setting,
): Promise<number[]> {
  await redis.connection(contestant.db).flushdb();
  const worker = contestant.startWorker(redis, { concurrency: WORKERS });
  const app = new App({ broker: redis.url(contestant.db) });
  const now = () => performance.timeOrigin + performance.now();
  for (let i = 0; i < WARM_UP; i++) await app.sendTask("tasks.since", [now(), 0]);
  const sent: Promise<number>[] = [];
  let due = performance.now();
  for (const { after, ms } of arrivals) {
    due += after;
    for (let left = due - performance.now(); left > 0; left = due - performance.now()) {
      await new Promise((resolve) => setTimeout(resolve, left));
    }
    sent.push(app.sendTask<number>("tasks.since", [now(), ms]).get());
  }
  const latencies = await Promise.all(sent);
  await app.disconnect();
  await worker.kill();
  return latencies.filter((_, i) => arrivals[i].ms === 0);
}

/** The same arrivals at workers for whom a short task takes no time. */
function ideal(arrivals: readonly Arrival[]): number[] {
  const free = Array<number>(WORKERS).fill(0);
  const latencies: number[] = [];
  let now = 0;
  for (const { after, ms } of arrivals) {
    now += after;
    const worker = free.indexOf(Math.min(...free));
    const starts = Math.max(now, free[worker]);
    free[worker] = starts + ms;
    if (ms === 0) latencies.push(starts - now);
  }
  return latencies;
}
