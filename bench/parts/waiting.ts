/** Tasks that wait for 10 ms each, with a hundred slots in each isolate. */
import { celeriac } from "../contestants/celeriac.ts";
import { rate, share, short } from "../figures.ts";
import { atLeast, type Outcome, type Part, type Setting } from "../part.ts";
import { type Drainer, drainRedis } from "../redis_drain.ts";
import { takeTurns } from "../rounds.ts";
import { median } from "../statistics.ts";

const WAIT_MS = 10;
const SLOTS = 100;
const ISOLATES = 2;
/** Tasks a second when no slot is ever without a task. */
const POSSIBLE = ISOLATES * SLOTS * 1000 / WAIT_MS;

const FULL = { tasks: 60_000, rounds: 5, seconds: 60 };
const QUICK = { tasks: 20_000, rounds: 2, seconds: 8 };

export const waiting: Part = { name: "waiting", title: "Tasks that wait", inQuick: false, limit: 120, run };

async function run(setting: Setting): Promise<Outcome> {
  const { redis } = setting;
  const sizes = setting.quick ? QUICK : FULL;
  await redis.prepare("waits", sizes.tasks, "tasks.wait", [WAIT_MS]);
  const drainers: Drainer[] = [celeriac("deno", 0), celeriac("bun", 1)].map((contestant) => ({
    contestant,
    options: { concurrency: ISOLATES, slots: SLOTS },
    tasks: sizes.tasks,
    fill: () => redis.fill(contestant.db, "waits"),
  }));
  const turns = drainers.map((drainer) => () => drainRedis(drainer, setting));
  const drains = await takeTurns(sizes.rounds, sizes.seconds, turns);
  const rates = drains.map((rounds) => rounds.map(({ rate }) => rate));
  const [deno, bun] = rates.map((rounds) => median(rounds) / POSSIBLE);
  return {
    columns: ["", "tasks/s", "each round", "of what is possible", "CPU of the worker, us a task"],
    rows: drainers.map(({ contestant }, i) => [
      contestant.name,
      rate(median(rates[i])),
      rates[i].map(rate).join(" "),
      share(median(rates[i]) / POSSIBLE),
      short(median(drains[i].map(({ cpu }) => cpu.worker))),
    ]),
    targets: [
      atLeast(`${ISOLATES} x ${SLOTS} slots on Deno, to what they could do`, deno, 0.8, "%"),
      atLeast(`${ISOLATES} x ${SLOTS} slots on Bun, to what they could do`, bun, 0.8, "%"),
    ],
    ratios: `waiting: deno ${share(deno)} bun ${share(bun)} of possible`,
    notes: [
      `Each task is \`await\` of a timer of ${WAIT_MS} ms; \`-c ${ISOLATES} --slots ${SLOTS}\`, so that ` +
      `${POSSIBLE.toLocaleString("en-US")} a second are possible.`,
    ],
    rounds: rates,
  };
}
