/** How long an idle call takes where five queues, all steps of priority and twenty idle workers stand around it. */
import type { Client } from "../client.ts";
import { bullmq } from "../contestants/bullmq.ts";
import { celeriac } from "../contestants/celeriac.ts";
import type { RedisContestant } from "../contestants/contestant.ts";
import { short } from "../figures.ts";
import { atMost, type Outcome, type Part, type Setting } from "../part.ts";
import { median, percentile } from "../statistics.ts";
import { pauses } from "./idle_latency.ts";

const QUEUES = ["one", "two", "three", "four", "five"];
const PRIORITIES = [0, 3, 6, 9];
const WORKERS = 20;
const CALLS = 300;
/** Milliseconds of processor time in half a second that an idle worker takes, at the most. */
const QUIET = 15;
/** A worker, so that all have run their code as often. */
const WARM_UP = 100;

export const manyQueues: Part = {
  name: "many_queues",
  title: "Redis: an idle call among many queues and workers",
  inQuick: false,
  limit: 240,
  run,
};

async function run(setting: Setting): Promise<Outcome> {
  const node = bullmq(3);
  const ours = [celeriac("deno", 0), celeriac("bun", 1)];
  // BullMQ's before and after, so that a machine that gets busier is seen.
  const before = await measure(node, 1, setting);
  const latencies: number[][] = [];
  for (const contestant of ours) latencies.push(await measure(contestant, WORKERS, setting));
  const after = await measure(node, 1, setting);

  const bullmqs = median([...before, ...after]);
  const rows: [string, number[]][] = [
    ["BullMQ, Node, one queue and worker", [...before, ...after]],
    ...ours.map(({ name }, i): [string, number[]] => [`${name}, ${WORKERS} workers`, latencies[i]]),
  ];
  const [deno, bun] = latencies.map((ms) => median(ms) / bullmqs);
  return {
    columns: ["", "p50, ms", "p99, ms"],
    rows: rows.map(([name, ms]) => [name, short(median(ms)), short(percentile(ms, 0.99))]),
    targets: [
      atMost(`idle call among ${WORKERS} workers on Deno, p50, to BullMQ's with one`, deno, 1),
      atMost(`idle call among ${WORKERS} workers on Bun, p50, to BullMQ's with one`, bun, 1),
    ],
    ratios: `among ${WORKERS} workers p50: deno ${short(deno)}x bullmq, bun ${short(bun)}x bullmq`,
    notes: [
      `${WORKERS} worker processes of one isolate each serve ${QUEUES.length} queues; calls go to all of them in turn, ` +
      `with the priorities ${PRIORITIES.join(", ")}. BullMQ: half of its calls before, half after.`,
    ],
    rounds: rows,
  };
}

async function measure(
  contestant: RedisContestant,
  workers: number,
  { redis, say }: Setting,
): Promise<number[]> {
  await redis.connection(contestant.db).flushdb();
  const many = workers === 1 ? {} : { queues: QUEUES, concurrency: 1 };
  const programs = Array.from(
    { length: workers },
    (_, i) => contestant.startWorker(redis, { ...many, hostname: `worker${i}@bench` }),
  );
  const client: Client = contestant.startClient(redis);
  const where = workers === 1 ? {} : { queues: QUEUES, priorities: PRIORITIES };
  const call = (count: number) => client.call({ pauses: pauses(count), ...where });
  await client.call({ pauses: new Array(WARM_UP * workers).fill(0), ...where });
  await quiet(programs);
  const ms = await call(CALLS);
  say(
    `${contestant.name}, workers: ${workers}, p50 ${short(median(ms))} ms, p99 ${
      short(percentile(ms, 0.99))
    } ms`,
  );
  await Promise.all([client.stop(), ...programs.map((program) => program.kill())]);
  return ms;
}

/** Resolves when programs that have started take next to no processor time any more. */
async function quiet(programs: readonly { usage(): { readonly cpu: number } }[]): Promise<void> {
  const taken = () => programs.reduce((sum, program) => sum + program.usage().cpu, 0);
  for (let before = taken(), looks = 0; looks < 60; looks++) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const now = taken();
    if (now - before < QUIET * programs.length) return;
    before = now;
  }
}
