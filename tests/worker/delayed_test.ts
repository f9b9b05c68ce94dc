import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { eventually, within } from "../conformance/patience.ts";
import { Workshop } from "./workshop.ts";

/** Timers of both runtimes may be a millisecond early by the wall clock. */
const EARLY_MS = 2;

describe("a task with a time", () => {
  for (const by of ["countdown", "eta"] as const) {
    it(`a second away, by ${by}, runs at that time and not before`, async () => {
      const shop = await Workshop.open();
      try {
        await shop.worker("-c", "1");
        await shop.warmUp();
        const due = Date.now() + 1_000;
        const when = by === "eta" ? { eta: new Date(due) } : { countdown: 1 };
        const result = shop.jobs.timeNow.applyAsync(when);
        // What comes later with no time of its own does not wait behind it.
        await within(700, shop.jobs.echo("at once"), "a task without a time");
        const ran = await within(5_000, result, "the task");
        assert.ok(ran >= due - EARLY_MS, `it ran ${due - ran} ms too early`);
        assert.ok(ran < due + 500, `it ran ${ran - due} ms too late`);
      } finally {
        await shop[Symbol.asyncDispose]();
      }
    });
  }

  it("further away is kept by the broker, and comes back to whoever works when it is due", async () => {
    const shop = await Workshop.open();
    try {
      const first = await shop.worker("-c", "1");
      const due = Date.now() + 6_500;
      const result = shop.jobs.timeNow.applyAsync({ eta: new Date(due) });
      await result.published;
      await eventually(async () => {
        assert.deepEqual(await shop.length(), { ready: 0, delayed: 1, unacked: 0, dead: 0 });
      }, 1_400);
      await first.kill();
      const second = await shop.worker("-c", "1");
      const ran = await within(due + 2_000 - Date.now(), result, "the task");
      assert.ok(ran >= due - EARLY_MS, `it ran ${due - ran} ms too early`);
      assert.ok(ran < due + 1_000, `it ran ${ran - due} ms too late`);
      assert.equal(await second.stop(), 0);
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("soon goes back to the broker when its worker stops, and another one keeps the time", async () => {
    const shop = await Workshop.open();
    try {
      const first = await shop.worker("-c", "1");
      const due = Date.now() + 3_000;
      const result = shop.jobs.timeNow.applyAsync({ eta: new Date(due) });
      await eventually(async () => assert.equal((await shop.length()).unacked, 1));
      assert.equal(await within(1_500, first.stop(), "its end, without waiting for the time"), 0);
      assert.equal((await shop.length()).unacked, 0);
      await shop.worker("-c", "1");
      const ran = await within(due + 2_000 - Date.now(), result, "the task");
      assert.ok(ran >= due - EARLY_MS && ran < due + 1_000, `it ran ${ran - due} ms after its time`);
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("that is acknowledged early keeps its message until then", async () => {
    const shop = await Workshop.open({ settings: { taskAcksLate: false } });
    try {
      await shop.worker("-c", "1");
      const due = Date.now() + 6_000;
      const far = shop.jobs.timeNow.applyAsync({ eta: new Date(due) });
      const near = shop.jobs.timeNow.applyAsync({ eta: new Date(due - 5_000) });
      await eventually(async () => {
        assert.deepEqual(await shop.length(), { ready: 0, delayed: 1, unacked: 1, dead: 0 });
      }, 900);
      const ran = await within(due + 2_000 - Date.now(), Promise.all([near, far]), "both tasks");
      assert.ok(ran[0] >= due - 5_000 - EARLY_MS && ran[1] >= due - EARLY_MS, "too early");
      await eventually(async () => {
        assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 0 });
      });
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("is one of thousands that no worker holds while they wait", async () => {
    const shop = await Workshop.open();
    try {
      const worker = await shop.worker("-c", "1");
      const count = 5_000;
      const hours = Array.from(
        { length: count },
        (_, i) => shop.jobs.echo.applyAsync({ args: [i], countdown: 3600 + i }),
      );
      await hours.at(-1)!.published;
      await eventually(async () => {
        assert.deepEqual(await shop.length(), { ready: 0, delayed: count, unacked: 0, dead: 0 });
      }, 20_000);
      // What comes now does not wait behind them.
      assert.equal(await within(2_000, shop.jobs.echo("now"), "a task without a time"), "now");
      assert.equal(await within(2_000, worker.stop(), "its end"), 0);
      assert.equal((await shop.length()).delayed, count);
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });
});
