/** A task with `exclusive` shares its isolate with nothing, however many slots that has. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { task } from "../../mod.ts";
import { withResolvers } from "../../runtime/platform.ts";
import { startTesting } from "../../runtime/testing.ts";
import { eventually } from "../conformance/patience.ts";
import { delivery, openPool } from "../worker/pools.ts";

/** An isolate in which tasks begin and end in the sight of the test. */
async function setUp(slots: number) {
  const begun: string[] = [];
  const gates = new Map<string, PromiseWithResolvers<void>>();
  const run = (name: string): Promise<void> => {
    begun.push(name);
    const gate = withResolvers();
    gates.set(name, gate);
    return gate.promise;
  };
  const testing = await startTesting({
    slots,
    tasks: { m: { shares: (name: string) => run(name), alone: task({ exclusive: true }, run) } },
  });
  const { app } = testing;
  return {
    ...testing,
    begun,
    call(task: "shares" | "alone", ...names: string[]) {
      return Promise.all(names.map((name) => app.sendTask(`m.${task}`, [name]).published));
    },
    /** Ends one, and waits until so many run of those that have begun. */
    async end(name: string, running: number, expected: readonly string[]) {
      gates.get(name)!.resolve();
      await eventually(() => assert.deepEqual([testing.worker.running, begun], [running, expected]));
    },
  };
}

describe("an exclusive task", () => {
  it("starts when nothing else runs in its isolate, and nothing else starts until it has ended", async () => {
    const { call, begun, end, close } = await setUp(4);
    try {
      await call("shares", "a", "b");
      await eventually(() => assert.deepEqual(begun, ["a", "b"]));
      await call("alone", "c");
      await call("shares", "d", "e");
      await end("a", 1, ["a", "b"]);
      await end("b", 1, ["a", "b", "c"]);
      await end("c", 2, ["a", "b", "c", "d", "e"]);
    } finally {
      await close();
    }
  });

  it("goes one by one with others of its kind", async () => {
    const { call, begun, end, close } = await setUp(4);
    try {
      await call("alone", "a", "b");
      await call("shares", "c");
      await eventually(() => assert.deepEqual(begun, ["a"]));
      await end("a", 1, ["a", "b"]);
      await end("b", 1, ["a", "b", "c"]);
    } finally {
      await close();
    }
  });

  it("does not keep what comes from isolates that are free", async () => {
    const { pool, told } = await openPool({ slots: 3, isolates: 2 });
    try {
      pool.dispatch([delivery("limited.alone", 1_000_000)]);
      await eventually(() => assert.deepEqual(told.lines, ["alone"]));
      const others = Array.from({ length: 6 }, (_, i) => delivery("tasks.add", i, i));
      pool.dispatch(others);
      await eventually(() => assert.equal(told.finished.length, others.length));
      assert.equal(pool.running, 1);
    } finally {
      pool.terminate();
    }
  });

  it("leaves its isolate no room until it has ended", async () => {
    const { pool, clock, told } = await openPool({ slots: 3 });
    try {
      const alone = delivery("limited.alone", 400);
      pool.dispatch([alone]);
      await eventually(() => assert.equal(pool.running, 1));
      const next = delivery("tasks.add", 1, 2);
      pool.dispatch([next]);
      await clock.advance(41);
      assert.equal(pool.room, 0);
      await eventually(() => assert.deepEqual(told.finished, [alone, next]));
      assert.ok(pool.room > 0);
    } finally {
      pool.terminate();
    }
  });
});
