import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { within } from "../conformance/patience.ts";
import { startRabbitmq } from "../servers/rabbitmq.ts";
import { startRedis } from "../servers/redis.ts";
import { Workshop } from "../worker/workshop.ts";
import { Fleet } from "./fleet.ts";
import { Load } from "./load.ts";
import { below, seeded } from "./seed.ts";

const TASKS = 20_000;
const WORKERS = 3;
const KILLS = 10;
/** With the lease that workers have by default. */
const RECOVERY_MS = 30_000;

/** The tasks' messages and results, and what is redelivered, cost RabbitMQ more than the others. */
const ON_RABBITMQ = { tasks: TASKS / 4, kills: KILLS / 2 };

async function survives(
  name: string,
  broker?: string,
  { tasks, kills } = { tasks: TASKS, kills: KILLS },
): Promise<void> {
  const random = seeded(name);
  const shop = await Workshop.open({ broker });
  try {
    const load = new Load(shop);
    const fleet = await Fleet.start(shop, WORKERS, "-c", "2", "--slots", "4");
    load.send(tasks, () => below(random, 5));
    const moments = Array.from({ length: kills }, () => Math.floor(tasks * (0.02 + 0.93 * random())));
    for (const moment of moments.sort((a, b) => a - b)) {
      await within(60_000, load.reached(moment), `result ${moment}`);
      await fleet.killOne(random);
    }
    const lastKill = performance.now();
    const left = tasks - load.done;
    await within(RECOVERY_MS, load.complete(), "the last result");
    const seconds = ((performance.now() - lastKill) / 1000).toFixed(1);
    const again = await load.secondRuns();
    console.log(
      `${name}: ${tasks} tasks, ${kills} kills, ${again} second runs; the last ${left} results came within ` +
        `${seconds} s of the last kill`,
    );
    assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 0 });
    await fleet.ready();
  } finally {
    await shop[Symbol.asyncDispose]();
  }
}

describe(`${KILLS} times kill -9 among ${WORKERS} workers while ${TASKS} tasks run`, () => {
  it("loses nothing on SQLite", () => survives("kill -9, SQLite"));

  it("loses nothing on Redis", async () => {
    const redis = await startRedis();
    try {
      await survives("kill -9, Redis", redis.url);
    } finally {
      await redis.stop();
    }
  });

  it(`loses nothing on RabbitMQ, of ${ON_RABBITMQ.tasks} tasks`, async () => {
    const rabbitmq = await startRabbitmq();
    try {
      await survives("kill -9, RabbitMQ", rabbitmq.url(), ON_RABBITMQ);
    } finally {
      await rabbitmq.stop();
    }
  });
});
