/** Workers die at any instant while tasks are retried: every try runs, and no message is lost or doubled unmarked. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { within } from "../conformance/patience.ts";
import { startRedis } from "../servers/redis.ts";
import { marksIn, Workshop } from "../worker/workshop.ts";
import { Fleet } from "./fleet.ts";
import { seeded } from "./seed.ts";

const TASKS = 1_000;
const TRIES = 3;
const KILLS = 3;
const SETTINGS = { brokerTransportOptions: { lease: 2 } };

async function survives(name: string, broker?: string): Promise<void> {
  const random = seeded(name);
  const shop = await Workshop.open({ broker, settings: SETTINGS });
  try {
    const fleet = await Fleet.start(shop, 2, "-c", "2", "--slots", "4");
    const file = shop.file("runs");
    let done = 0;
    let told = () => {};
    const results = Array.from({ length: TASKS }, () => shop.jobs.thrice(file));
    const values = results.map((result) =>
      result.get().then((value) => {
        done++;
        told();
        return value;
      })
    );
    for (let kill = 1; kill <= KILLS; kill++) {
      const moment = TASKS * (kill - 0.5 * random()) / (KILLS + 1);
      const reached = new Promise<void>((resolve) => told = () => done >= moment && resolve());
      told();
      await within(30_000, reached, `result ${moment}`);
      await fleet.killOne(random);
    }
    assert.deepEqual(
      await within(30_000, Promise.all(values), "the last result"),
      values.map(() => TRIES - 1),
    );
    const runs = new Map<string, { all: number; unmarked: number }>();
    for (const { id, again } of await marksIn(file)) {
      const run = runs.get(id) ?? { all: 0, unmarked: 0 };
      run.all++;
      if (!again) run.unmarked++;
      runs.set(id, run);
    }
    for (const { id } of results) {
      for (let retries = 0; retries < TRIES; retries++) {
        const run = runs.get(`${id}/${retries}`);
        assert.ok(run !== undefined, `try ${retries} of ${id} never ran`);
        assert.ok(
          run.unmarked <= 1,
          `try ${retries} of ${id} ran ${run.all} times, ${run.unmarked} unmarked`,
        );
      }
    }
    assert.equal(runs.size, TASKS * TRIES);
    assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 0 });
    await fleet.ready();
  } finally {
    await shop[Symbol.asyncDispose]();
  }
}

describe(`${KILLS} times kill -9 while ${TASKS} tasks run ${TRIES} times each`, () => {
  it("loses no try on SQLite", () => survives("retries, SQLite"));

  it("loses no try on Redis", async () => {
    const redis = await startRedis();
    try {
      await survives("retries, Redis", redis.url);
    } finally {
      await redis.stop();
    }
  });
});
