import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { systemClock } from "../../runtime/clock.ts";
import { openTransport } from "../../runtime/transport/open.ts";
import { eventually } from "../conformance/patience.ts";
import { startRedis } from "../servers/redis.ts";
import { Workshop } from "../worker/workshop.ts";
import { type Entry, mixedUp, squeezed } from "./mixed_up.ts";
import { rawQueue } from "./raw_queue.ts";
import { seeded } from "./seed.ts";

const COUNT = 1_000;

/** Takes what is in the queue as a worker does, and gives all of it back unstarted. */
async function takeAndReturn(broker: string): Promise<void> {
  const transport = await openTransport(broker, { clock: systemClock });
  const nobody = () => {};
  const receiver = await transport.receive({
    queues: ["celery"],
    worker: "w",
    events: { lost: nobody, dead: nobody, restored: nobody, trouble: nobody, away: nobody },
  });
  const taken = await receiver.exchange([], 200);
  assert.ok(taken.length > 0);
  await receiver.exchange(taken.map((delivery) => ({ delivery, outcome: "return" })), 0);
  await receiver[Symbol.asyncDispose]();
  await transport[Symbol.asyncDispose]();
}

async function comeThrough(name: string, broker?: string): Promise<void> {
  const random = seeded(name);
  const shop = await Workshop.open({ broker });
  try {
    const entries = mixedUp(COUNT, random);
    // The client makes the file where the broker is one.
    assert.equal((await (await shop.app.transport()).lengths(["celery"])).length, 1);
    const queue = rawQueue(shop.broker);
    await queue.push(...entries.map(({ bytes }) => bytes));
    queue.close();
    await takeAndReturn(shop.broker);
    const worker = await shop.worker("-c", "2", "--drain");
    assert.equal(await worker.exited, 0);

    const right = entries.filter((entry): entry is Required<Entry> => entry.runs !== undefined);
    const stored = await (await shop.app.results()).fetch(right.map(({ runs }) => runs.id));
    for (const [i, { runs }] of right.entries()) {
      const text = stored[i];
      assert.ok(text !== null, `no result of ${runs.id}, called with ${runs.value}`);
      const expected = `"status":"SUCCESS","result":${squeezed(runs.value)},"traceback":null`;
      assert.ok(squeezed(text).includes(expected), `${runs.value} became ${text}`);
    }
    const wrong = entries.filter(({ runs }) => runs === undefined);
    const transport = await shop.app.transport();
    const letters = await eventually(async () => {
      const letters = await transport.deadLetters("celery", 2 * COUNT);
      assert.equal(letters.length, wrong.length);
      return letters;
    });
    const sorted = (all: Uint8Array[]) => all.map((bytes) => Buffer.from(bytes).toString("hex")).sort();
    assert.deepEqual(sorted(letters.map(({ body }) => body)), sorted(wrong.map(({ bytes }) => bytes)));
    assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: wrong.length });
    console.log(`${name}: ${right.length} came through, ${wrong.length} are dead letters, none was changed`);
  } finally {
    await shop[Symbol.asyncDispose]();
  }
}

describe(`${COUNT} mixed-up entries come through as they are, or as dead letters with their own bytes`, () => {
  it("on SQLite", () => comeThrough("mixed up, SQLite"));

  it("on Redis", async () => {
    const redis = await startRedis();
    try {
      await comeThrough("mixed up, Redis", redis.url);
    } finally {
      await redis.stop();
    }
  });
});
