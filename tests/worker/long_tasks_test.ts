import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { describe, it } from "node:test";
import { eventually, within } from "../conformance/patience.ts";
import { logOf, Workshop } from "./workshop.ts";

/** Ten short tasks; their promises resolve with who ran each. */
const followers = (shop: Workshop, count = 10) => Array.from({ length: count }, () => shop.jobs.whoRan());

describe("a long task", () => {
  it("on one worker keeps nothing from an idle one", async () => {
    const shop = await Workshop.open();
    try {
      const busy = await shop.worker("-c", "1");
      await shop.warmUp();
      const idle = await shop.worker("-c", "1");
      idle.signal("SIGSTOP");
      const gate = shop.gate();
      const long = shop.jobs.block(gate.path);
      const short = followers(shop, 20);
      await within(5_000, busy.line(/"message":"blocking/), "the start of the long task");
      const start = performance.now();
      idle.signal("SIGCONT");
      const runners = await within(10_000, Promise.all(short), "the short tasks");
      const took = performance.now() - start;
      assert.deepEqual(new Set(runners), new Set([idle.pid]));
      assert.ok(took < 1_800, `the short tasks came after ${took.toFixed(0)} ms`);
      await gate.open();
      assert.equal(await within(5_000, long, "the long task"), "let go");
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  for (const kind of ["hold", "block"] as const) {
    it(`that ${kind}s its isolate holds back no result of what was finished before it`, async () => {
      const shop = await Workshop.open();
      try {
        const worker = await shop.worker("-c", "1");
        await shop.warmUp();
        const gate = shop.gate();
        const before = followers(shop);
        const long = shop.jobs[kind](gate.path);
        const after = followers(shop);
        await within(
          5_000,
          worker.line(kind === "hold" ? /"message":"holding/ : /"message":"blocking/),
          "its start",
        );
        await within(500, Promise.all(before), "the results of what ran before it");
        await gate.open();
        await within(5_000, Promise.all([long, ...after]), "the rest");
      } finally {
        await shop[Symbol.asyncDispose]();
      }
    });

    it(`that ${kind}s its isolate keeps no other waiting while an isolate is idle`, async () => {
      const shop = await Workshop.open();
      try {
        await shop.worker("-c", "2");
        await shop.warmUp();
        const gate = shop.gate();
        const long = shop.jobs[kind](gate.path);
        await within(1_000, Promise.all(followers(shop, 100)), "the short tasks of the same batch");
        await within(1_000, Promise.all(followers(shop, 100)), "short tasks sent later");
        await gate.open();
        assert.equal(await within(5_000, long, "the long task"), "let go");
      } finally {
        await shop[Symbol.asyncDispose]();
      }
    });
  }

  it("in every isolate: what waits goes back to the broker, and runs when one of them ends", async () => {
    const shop = await Workshop.open();
    try {
      const worker = await shop.worker("-c", "2");
      await shop.warmUp();
      const gates = [shop.gate(), shop.gate()];
      const long: PromiseLike<string>[] = [], short: PromiseLike<number>[] = [];
      for (const gate of gates) {
        long.push(shop.jobs.block(gate.path));
        short.push(...followers(shop, 25));
      }
      for (const { path } of gates) {
        await within(
          5_000,
          worker.line(new RegExp(`"message":"blocking ${path}"`)),
          "the start of a long task",
        );
      }
      await eventually(async () => assert.equal((await shop.length()).unacked, 2), 2_000);
      await gates[0].open();
      await within(5_000, Promise.all(short), "the short tasks");
      await gates[1].open();
      await within(5_000, Promise.all(long), "the long tasks");
      assert.deepEqual(logOf(worker).filter(({ level }) => level === "error" || level === "warning"), []);
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("that waits lets others run beside it: --slots 50 runs 50 at once in one isolate", async () => {
    const shop = await Workshop.open();
    try {
      await shop.worker("-c", "1", "--slots", "50");
      const room = shop.file("room");
      await mkdir(room);
      const met = Array.from({ length: 50 }, () => shop.jobs.meet(room, 50));
      assert.deepEqual(new Set(await within(10_000, Promise.all(met), "the meeting")), new Set([50]));
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });
});
