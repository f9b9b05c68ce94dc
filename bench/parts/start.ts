/** From the start of a worker's process to its first result on Redis, with one task waiting. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { bullmq } from "../contestants/bullmq.ts";
import { celeriac, isBuilt, startCeleriac } from "../contestants/celeriac.ts";
import { celery } from "../contestants/celery.ts";
import type { RedisContestant } from "../contestants/contestant.ts";
import { short } from "../figures.ts";
import { atMost, type Outcome, type Part, type Setting } from "../part.ts";
import { ROOT } from "../process.ts";
import { takeTurns } from "../rounds.ts";
import { median, ratio } from "../statistics.ts";

const FULL = { rounds: 11, seconds: 90 };
const QUICK = { rounds: 3, seconds: 12 };

export const starting: Part = {
  name: "start",
  title: "Redis: from a worker's start to its first result",
  inQuick: false,
  limit: 240,
  run,
};

async function run({ quick, redis, signal, say }: Setting): Promise<Outcome> {
  const sizes = quick ? QUICK : FULL;
  // A full run measures the executable of this very commit; a quick one any that is there.
  if (!quick || !isBuilt()) {
    await promisify(execFile)("make", ["-s", "build"], { cwd: ROOT, timeout: 120_000 });
  }
  const deno = celeriac("deno", 1);
  const executable: RedisContestant = {
    ...deno,
    name: "celeriac, dist/celeriac",
    db: 0,
    startWorker: (redis, options) => startCeleriac("executable", redis.url(0), options),
    settled: (redis) => redis.results(0),
  };
  const contestants = [executable, deno, celeriac("bun", 2), await celery(3), bullmq(4)];
  const node = bullmq(4).startClient(redis);
  await redis.prepare("one", 1, "tasks.add", [1, 2]);
  const seconds = await takeTurns(
    sizes.rounds,
    sizes.seconds,
    contestants.map((contestant) => async () => {
      const { db } = contestant;
      await redis.connection(db).flushdb();
      if (db === 4) await node.publish(1);
      else await redis.fill(db, "one");
      const began = performance.now();
      const worker = contestant.startWorker(redis);
      while (await contestant.settled(redis) === 0) {
        signal.throwIfAborted();
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      const took = (performance.now() - began) / 1000;
      await worker.kill();
      say(`${contestant.name}: ${short(took)} s`);
      return took;
    }),
  );
  await node.stop();
  const [built, onDeno, onBun, python] = seconds;
  return {
    columns: ["", "seconds", "each round"],
    rows: contestants.map((
      { name },
      i,
    ) => [name, short(median(seconds[i])), seconds[i].map(short).join(" ")]),
    targets: [
      atMost("start of dist/celeriac, to Celery's", ratio(built, python), 1 / 6),
    ],
    ratios:
      `start: executable ${short(ratio(built, python))}x celery, deno ${short(ratio(onDeno, python))}x, ` +
      `bun ${short(ratio(onBun, python))}x`,
    notes: [
      "One task waits; an onlooker asks Redis every 2 ms whether its result is there. `dist/celeriac` is what " +
      "`make build` makes, and what is deployed: its code is one piece, compiled beforehand. Deno and Bun from the " +
      "checkout read more than 100 sources and the files of their packages in the main thread, and 40 again in each " +
      "isolate: most of their time has passed when that is done. Commands that are not called are not read, the broker " +
      "is connected to while the first isolate starts, and the others join when work has begun.",
    ],
    rounds: contestants.map(({ name }, i) => ({ name, seconds: seconds[i] })),
  };
}
