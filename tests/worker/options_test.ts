import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TaskError } from "../../runtime/protocol/errors.ts";
import { eventually, within } from "../conformance/patience.ts";
import { marksIn, Workshop } from "./workshop.ts";

describe("an option of a task", () => {
  it("acksLate: false acknowledges before the run: a worker that is killed takes the task with it", async () => {
    const shop = await Workshop.open({ settings: { brokerTransportOptions: { lease: 1 } } });
    try {
      const worker = await shop.worker("-c", "2");
      const gate = shop.gate();
      const [late, early] = [shop.file("late"), shop.file("early")];
      const kept = shop.jobs.markAndHold(late, gate.path);
      const lost = shop.jobs.early(early, gate.path);
      await eventually(async () => {
        assert.equal((await marksIn(late)).length + (await marksIn(early)).length, 2);
      });
      assert.equal((await shop.length()).unacked, 1, "only what is acknowledged late is held");
      await worker.kill();
      await shop.worker("-c", "2");
      await gate.open();
      assert.equal(await within(10_000, kept, "the second run"), "let go");
      assert.deepEqual((await marksIn(late)).map(({ again }) => again), [false, true]);
      assert.deepEqual((await marksIn(early)).map(({ again }) => again), [false]);
      assert.equal(await lost.status, "PENDING");
      assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 0 });
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("acksLate: false still stores the result", async () => {
    const shop = await Workshop.open();
    try {
      const worker = await shop.worker("-c", "1");
      const gate = shop.gate();
      await gate.open();
      assert.equal(
        await within(5_000, shop.jobs.early(shop.file("marks"), gate.path), "the result"),
        "let go",
      );
      const last = shop.jobs.early(shop.file("marks"), gate.path);
      await eventually(async () => assert.equal((await marksIn(shop.file("marks"))).length, 2));
      assert.equal(await worker.stop(), 0);
      assert.equal(await last.status, "SUCCESS", "a stopping worker stores it too");
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("ignoreResult stores nothing, neither a value nor a state", async () => {
    const shop = await Workshop.open();
    try {
      const worker = await shop.worker("-c", "1");
      const byTask = shop.jobs.silent("by the task");
      const byCall = shop.jobs.echo.applyAsync({ args: ["by the call"], ignoreResult: true });
      await within(5_000, worker.line(/"message":"silent by the task"/), "the run");
      assert.equal(await shop.jobs.echo("after both"), "after both");
      assert.equal(await worker.stop(), 0);
      const results = await shop.app.results();
      assert.deepEqual(await results.fetch([byTask.id, byCall.id]), [null, null]);
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("trackStarted tells when it starts, and where", async () => {
    const shop = await Workshop.open();
    try {
      const worker = await shop.worker("-c", "1", "-n", "w1@here");
      const gate = shop.gate();
      const result = shop.jobs.tracked(gate.path);
      await within(5_000, worker.line(/"message":"holding/), "its start");
      await eventually(async () => assert.equal(await result.status, "STARTED"));
      assert.deepEqual(await result.info, { pid: worker.pid, hostname: "w1@here" });
      await gate.open();
      assert.equal(await within(5_000, result, "its result"), "let go");
      assert.equal(await result.status, "SUCCESS");
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("expires keeps a task from starting late: its state is REVOKED", async () => {
    const shop = await Workshop.open();
    try {
      const file = shop.file("marks");
      const late = shop.jobs.mark.applyAsync({ args: [file], expires: new Date(Date.now() - 1) });
      const inTime = shop.jobs.echo.applyAsync({ args: ["in time"], expires: 60 });
      await Promise.all([late.published, inTime.published]);
      const worker = await shop.worker("-c", "1");
      assert.equal(await within(5_000, inTime, "what is in time"), "in time");
      await assert.rejects(within(5_000, late, "what is late"), (error: unknown) => {
        assert.ok(error instanceof TaskError);
        assert.equal(error.type, "TaskRevokedError");
        return true;
      });
      assert.equal(await late.status, "REVOKED");
      assert.deepEqual(await marksIn(file), []);
      await within(5_000, worker.line(new RegExp(`${late.id}.*expired`)), "its log line");
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("a result that no message can carry fails the task with the path of the value", async () => {
    const shop = await Workshop.open();
    try {
      await shop.worker("-c", "1");
      await assert.rejects(within(5_000, shop.jobs.unserializable(), "the failure"), (error: unknown) => {
        assert.ok(error instanceof TaskError);
        assert.match(error.message, /rows\[1\]\.run/);
        return true;
      });
      await assert.rejects(within(5_000, shop.jobs.cycle(), "the failure"), (error: unknown) => {
        assert.ok(error instanceof TaskError);
        assert.match(error.message, /list\[0\]\.back/);
        return true;
      });
      assert.equal(await within(5_000, shop.jobs.echo("goes on"), "the next task"), "goes on");
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });
});
