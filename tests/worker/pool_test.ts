/** A pool with real isolates, in time that the test turns. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { eventually } from "../conformance/patience.ts";
import { delivery, FOREVER, openPool } from "./pools.ts";

describe("a pool", () => {
  it("says that there is room again after an isolate was held up and nothing was reported", async () => {
    const { pool, clock, told } = await openPool({ slots: 3 });
    try {
      pool.dispatch([delivery("tasks.busyThenWait", 150), delivery("tasks.busyThenWait", 150)]);
      await clock.advance(41);
      assert.equal(pool.room, 0, "the second waits behind the first");
      await eventually(() => assert.equal(pool.running, 2));
      assert.equal(told.reported, 0, "neither has anything to report");
      await clock.advance(20);
      assert.equal(pool.room, 1);
      assert.equal(told.reported, 1);
    } finally {
      pool.terminate();
    }
  });

  it("finds what it holds by its task's id", async () => {
    const { pool } = await openPool();
    try {
      const [runs, waits] = [delivery("tasks.wait", FOREVER), delivery("tasks.add", 1, 2)];
      pool.dispatch([runs, waits]);
      await eventually(() => assert.equal(pool.running, 1));
      const { startedAt, ...found } = pool.find(runs.tag as string)!;
      assert.deepEqual(found, { delivery: runs, running: true });
      assert.ok(Math.abs(startedAt! - Date.now()) < 60_000);
      assert.deepEqual(pool.find(waits.tag as string), { delivery: waits, running: false });
      assert.equal(pool.find("another"), undefined);
    } finally {
      pool.terminate();
    }
  });

  it("of two deliveries of one task finds the one that runs", async () => {
    const { pool } = await openPool();
    try {
      const first = delivery("tasks.wait", FOREVER), second = { ...first, tag: "second" };
      pool.dispatch([first]);
      await eventually(() => assert.equal(pool.running, 1));
      pool.dispatch([second]);
      assert.equal(pool.find(first.tag as string)?.delivery, first);
    } finally {
      pool.terminate();
    }
  });

  it("ends a busy loop, and what waited behind it runs in the isolate that takes its place", async () => {
    const { pool, told } = await openPool();
    try {
      const endless = delivery("tasks.busy", FOREVER);
      pool.dispatch([endless]);
      await eventually(() => assert.equal(pool.running, 1));
      const behind = [delivery("tasks.add", 1, 2), delivery("tasks.add", 3, 4)];
      pool.dispatch(behind);
      assert.equal(pool.end(endless, "the test says so"), "ended");
      assert.equal(pool.find(endless.tag as string), undefined);
      assert.equal(pool.running, 0);
      await eventually(() => assert.deepEqual(told.finished, behind));
      assert.deepEqual(told.interrupted, []);
      assert.equal(pool.size, 0);
    } finally {
      pool.terminate();
    }
  });

  it("tells what else ran in an isolate that it ended, and goes on", async () => {
    const { pool, told } = await openPool({ slots: 3 });
    try {
      const [ended, innocent] = [delivery("tasks.wait", FOREVER), delivery("tasks.wait", FOREVER)];
      const waits = [delivery("tasks.busy", FOREVER), delivery("tasks.add", 1, 2)];
      pool.dispatch([ended, innocent]);
      await eventually(() => assert.equal(pool.running, 2));
      pool.dispatch(waits);
      await eventually(() => assert.equal(pool.running, 3));
      assert.equal(pool.end(ended, "the test says so"), "ended");
      assert.deepEqual(told.interrupted, [[[innocent, waits[0]], "the test says so"]]);
      await eventually(() => assert.deepEqual(told.finished, [waits[1]]));
    } finally {
      pool.terminate();
    }
  });

  it("takes out what has not started, and ends nothing for it", async () => {
    const { pool, told } = await openPool();
    try {
      const [runs, waits] = [delivery("tasks.wait", 300), delivery("tasks.add", 1, 2)];
      pool.dispatch([runs, waits]);
      await eventually(() => assert.equal(pool.running, 1));
      assert.equal(pool.end(waits, "the test says so"), "taken");
      await eventually(() => assert.deepEqual(told.finished, [runs]));
      assert.equal(pool.size, 0);
    } finally {
      pool.terminate();
    }
  });

  it("takes out what no isolate had room for", async () => {
    const { pool } = await openPool();
    try {
      const [runs, ...rest] = [delivery("tasks.wait", FOREVER), delivery("tasks.add"), delivery("tasks.add")];
      pool.dispatch([runs, ...rest]);
      for (const one of rest) assert.equal(pool.end(one, "the test says so"), "taken");
      assert.equal(pool.size, 1);
    } finally {
      pool.terminate();
    }
  });

  it("is too late for what has finished", async () => {
    const { pool, told } = await openPool();
    try {
      const quick = delivery("tasks.add", 1, 2);
      pool.dispatch([quick]);
      await eventually(() => assert.deepEqual(told.finished, [quick]));
      assert.equal(pool.end(quick, "the test says so"), "late");
      const next = delivery("tasks.add", 3, 4);
      pool.dispatch([next]);
      await eventually(() => assert.deepEqual(told.finished, [quick, next]));
    } finally {
      pool.terminate();
    }
  });
});
