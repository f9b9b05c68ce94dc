/**
 * A chord of chains whose workers are killed while it runs. As large as it is meant to be: `STEPS=100000 make test
 * FILES=faults/workflows`.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type AsyncResult, chain, chord, type GroupResult } from "../../mod.ts";
import { within } from "../conformance/patience.ts";
import { startRedis } from "../servers/redis.ts";
import { Workshop } from "../worker/workshop.ts";
import { Fleet } from "./fleet.ts";
import { below, seeded } from "./seed.ts";

const STEPS = Number(process.env.STEPS ?? 3_000);
const CHAIN = 10;
const WORKERS = 3;
const KILLS = STEPS >= 100_000 ? 10 : 3;
/** Seconds. What a dead worker held comes back after that. */
const LEASE = 2;
/** For the next kill, and for all that is left after the last one. */
const PATIENCE_MS = 60_000 + 5 * STEPS;

const TASKS = fileURLToPath(new URL("workflow_tasks.ts", import.meta.url));

async function survives(name: string, broker?: string): Promise<void> {
  const random = seeded(name);
  const shop = await Workshop.open({ broker, settings: { brokerTransportOptions: { lease: LEASE } } });
  try {
    const fleet = await Fleet.start(shop, WORKERS, "-A", TASKS, "-c", "2", "--slots", "4");
    const tasks = shop.app.module<typeof import("./workflow_tasks.ts")>("workflow_tasks");
    const chains = STEPS / CHAIN;
    const one = () => {
      const [first, ...rest] = Array.from({ length: CHAIN }, () => below(random, 3));
      return chain(tasks.step.s(0, first), chain(rest.map((ms) => tasks.step.s(ms))));
    };
    const result = chord(Array.from({ length: chains }, one), tasks.total.s()).delay() as AsyncResult<number>;
    const parts = (result.parent as GroupResult<number[]>).finished();
    let done = 0;
    const moments = Array.from({ length: KILLS }, () => Math.floor(chains * (0.02 + 0.93 * random())));
    for (const moment of moments.sort((a, b) => a - b)) {
      for (; done < moment; done++) await within(PATIENCE_MS, parts.next(), `chain ${done}`);
      await fleet.killOne(random);
    }
    const lastKill = performance.now();
    assert.equal(await within(PATIENCE_MS, result.get(), "the chord's value"), STEPS);
    const seconds = ((performance.now() - lastKill) / 1000).toFixed(1);
    console.log(
      `${name}: ${chains} chains of ${CHAIN}, ${KILLS} kills; the value came ${seconds} s after the last kill, the last ` +
        `${chains - done} chains among what was left`,
    );
    await fleet.ready();
  } finally {
    await shop[Symbol.asyncDispose]();
  }
}

describe(`${KILLS} times kill -9 among ${WORKERS} workers while a chord of ${STEPS} steps runs`, () => {
  it("gives the right value on SQLite", () => survives("workflow, SQLite"));

  it("gives the right value on Redis", async () => {
    const redis = await startRedis();
    try {
      await survives("workflow, Redis", redis.url);
    } finally {
      await redis.stop();
    }
  });
});
