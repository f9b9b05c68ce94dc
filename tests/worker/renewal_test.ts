/** Isolates that have done enough are renewed between tasks, with real isolates. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { eventually } from "../conformance/patience.ts";
import { delivery, FOREVER, openPool } from "./pools.ts";

/** Several isolates start in turn, in ms. */
const PATIENCE = 60_000;

function many(count: number, task: string, ...args: unknown[]) {
  return Array.from({ length: count }, () => delivery(task, ...args));
}

/** How often each isolate is in a list, in the order of their first. */
function counts(isolates: readonly unknown[]): number[] {
  const counted = new Map<unknown, number>();
  for (const isolate of isolates) counted.set(isolate, (counted.get(isolate) ?? 0) + 1);
  return [...counted.values()];
}

describe("an isolate", () => {
  it("runs as many tasks as workerMaxTasksPerIsolate says, then another takes its place", async () => {
    const { pool, told } = await openPool({ settings: { workerMaxTasksPerIsolate: 3 } });
    try {
      pool.dispatch(many(7, "limited.where"));
      await eventually(() => assert.equal(told.values.length, 7), PATIENCE);
      assert.deepEqual(counts(told.values), [3, 3, 1]);
      assert.deepEqual(told.interrupted, []);
      assert.equal(pool.size, 0);
    } finally {
      pool.terminate();
    }
  });

  it("that may run one task runs one, whatever is dispatched at once", async () => {
    const { pool, told } = await openPool({ isolates: 2, settings: { workerMaxTasksPerIsolate: 1 } });
    try {
      pool.dispatch(many(4, "limited.where"));
      await eventually(() => assert.equal(told.values.length, 4), PATIENCE);
      assert.deepEqual(counts(told.values), [1, 1, 1, 1]);
    } finally {
      pool.terminate();
    }
  });

  it("ends what it runs before its successor begins: together they have one slot", async () => {
    const { pool, told } = await openPool({ settings: { workerMaxTasksPerIsolate: 1 } });
    try {
      const [long, next] = [delivery("limited.whereAfter", 200), delivery("limited.where")];
      pool.dispatch([long, next]);
      await eventually(() => assert.equal(told.finished.length, 2), PATIENCE);
      assert.deepEqual(told.finished, [long, next]);
      assert.notEqual(told.values[0], told.values[1]);
    } finally {
      pool.terminate();
    }
  });

  it("is not ended in the middle of a task, while its successor has the other slots", async () => {
    const { pool, told } = await openPool({ slots: 2, settings: { workerMaxTasksPerIsolate: 1 } });
    try {
      const long = delivery("tasks.wait", FOREVER);
      pool.dispatch([long]);
      await eventually(() => assert.equal(pool.running, 1));
      pool.dispatch(many(3, "limited.where"));
      await eventually(() => assert.equal(told.values.length, 3), PATIENCE);
      assert.deepEqual(counts(told.values), [1, 1, 1]);
      assert.deepEqual(pool.find(long.tag as string)?.running, true);
      assert.deepEqual(told.interrupted, []);
    } finally {
      pool.terminate();
    }
  });

  it("that uses more memory than workerMaxMemoryPerIsolate is renewed, and loses nothing", async () => {
    const { pool, told } = await openPool({ settings: { workerMaxMemoryPerIsolate: 24 * 1024 } });
    try {
      pool.dispatch(many(5, "limited.where"));
      await eventually(() => assert.equal(told.values.length, 5));
      assert.deepEqual(counts(told.values), [5], "what uses little stays");
      pool.dispatch([delivery("limited.leak", 1_000_000)]);
      await eventually(() => assert.equal(told.values.length, 6));
      assert.deepEqual(counts(told.values), [6]);
      const [first] = told.values;
      await eventually(async () => {
        const before = told.values.length;
        pool.dispatch([delivery("limited.where")]);
        await eventually(() => assert.equal(told.values.length, before + 1));
        assert.notEqual(told.values.at(-1), first);
      }, PATIENCE);
      assert.deepEqual(told.interrupted, []);
    } finally {
      pool.terminate();
    }
  });
});
