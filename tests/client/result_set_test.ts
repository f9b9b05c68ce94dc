/** Results of several calls as one, and what follows a call followed through. In the test's own process. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type AsyncResult,
  chain,
  chord,
  defaultApp,
  group,
  type GroupResult,
  type PartResult,
  ResultSet,
  task,
} from "../../mod.ts";
import { oneWorker } from "../workflow/one_worker.ts";

const steps = {
  add: (x: number, y: number) => x + y,
  double: (x: number) => 2 * x,
  sum: (values: readonly number[]) => values.reduce((a, b) => a + b, 0),
};
const t = {
  ...steps,
  fail: (word: string): never => {
    throw new RangeError(word);
  },
  /** Calls so many others, in a group. */
  spread: task({ bind: true }, (_ctx, times: number) => {
    const { double } = defaultApp().module<typeof steps>("t");
    return group(Array.from({ length: times }, (_, i) => double.s(i))).delay().id;
  }),
};

const worker = oneWorker(t);
const { start } = worker;

/** All values of a generator. */
async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const value of values) list.push(value);
  return list;
}

describe("a result set", () => {
  it("has the values of all results that were added and not taken out", async () => {
    const { f } = await start();
    const [one, two] = [f.add(1, 2), f.double(4)];
    const set = new ResultSet([one, two]);
    const typed: number[] = await set;
    assert.deepEqual(typed, [3, 8]);
    set.add(two);
    set.update([group([f.add.s(5, 5), f.double.s(1)]).delay(), one]);
    assert.deepEqual([set.length, await set.get()], [3, [3, 8, [10, 2]]]);
    assert.deepEqual([set.remove(one), set.remove(two.id), set.remove("another")], [true, true, false]);
    assert.deepEqual(await set, [[10, 2]]);
    set.clear();
    assert.deepEqual([await set, await set.ready(), await set.failed()], [[], true, false]);
  });

  it("tells how its results stand, and of each that finishes", async () => {
    const { f, advance, idle } = await start();
    const set = new ResultSet<[number, number, never]>([
      f.add.applyAsync({ args: [1, 2], countdown: 60 }),
      f.double(2),
      f.fail("bad"),
    ]);
    await idle();
    assert.deepEqual([await set.ready(), await set.waiting(), await set.completedCount()], [false, true, 1]);
    const late = assert.rejects(set.get({ timeout: 30, propagate: false }), {
      name: "TimeoutError",
      message: "no results of 3 results after 30 s",
    });
    const finished = all(set.finished());
    await advance(30);
    await late;
    await advance(30);
    assert.deepEqual((await finished).map(([index]) => index).sort(), [0, 1, 2]);
    assert.equal((await finished).at(-1)![0], 0);
    assert.deepEqual([await set.ready(), await set.successful(), await set.failed()], [true, false, true]);
    await assert.rejects(set.get(), { name: "RangeError", message: "bad" });
    await set.forget();
    assert.equal(await (set.results[0] as AsyncResult).status, "PENDING");
  });

  it("is revoked by one order, the parts of groups too", async () => {
    const { f, app, advance, idle } = await start();
    const orders: unknown[] = [];
    const { revoke } = app.control;
    app.control.revoke = (...given) => {
      orders.push(given[0]);
      return revoke.apply(app.control, given);
    };
    const parts = group([f.add.s(1, 2), f.add.s(3, 4)]).applyAsync({ countdown: 60 });
    const set = new ResultSet([parts, f.double.applyAsync({ args: [1], countdown: 60 })]);
    await set.revoke();
    assert.deepEqual(orders, [[...parts.results, set.results[1]].map(({ id }) => id)]);
    await advance(60);
    await idle();
    await assert.rejects(set.get(), { name: "TaskRevokedError" });
  });
});

describe("what follows a call", () => {
  it("is collected, each result once, with its value", async () => {
    const { f } = await start();
    const result = chain(f.spread.s(3), f.double.si(10), f.add.s(1)).delay();
    const first = result.parent!.parent as AsyncResult<string>;
    const found = await all(first.collect());
    const id = await first;
    assert.deepEqual(found.map(([, value]) => value), [id, [0, 2, 4], 20, 0, 2, 4, 21]);
    assert.equal(found[1][0].id, id);
    assert.equal(await first.getLeaf(), 21);
  });

  it("has the parts of a chord before its body", async () => {
    const { f } = await start();
    const body = chain(f.double.s(1), chord([f.add.s(1), f.add.s(2)], f.sum.s())).delay();
    const header = (body as AsyncResult).parent as PartResult as GroupResult;
    const first = header.parent as AsyncResult<number>;
    assert.equal(await body, 7);
    const found = await all(first.iterdeps());
    const before = new Map(found.map(([before, { id }]) => [id, before?.id]));
    assert.deepEqual([...before], [
      [first.id, undefined],
      [header.id, first.id],
      [body.id, first.id],
      ...header.results.map(({ id }) => [id, header.id]),
    ]);
    assert.equal(await header.getLeaf(), 7);
  });

  it("is not known of what is not done", async () => {
    const { f, advance, idle } = await start();
    const result = chain(f.add.s(1, 2), f.double.s().set({ countdown: 60 })).delay();
    const first = result.parent as AsyncResult;
    await idle();
    await assert.rejects(all(first.iterdeps()), { name: "IncompleteStream" });
    assert.equal((await all(first.iterdeps({ intermediate: true }))).length, 2);
    const values = all(first.collect());
    await advance(60);
    assert.deepEqual((await values).map(([, value]) => value), [3, 6]);
    const failing = f.fail("bad");
    await assert.rejects(all(failing.collect()), { name: "RangeError" });
    const [[, error]] = await all(failing.collect({ propagate: false }));
    assert.equal(String(error), "RangeError: bad");
  });
});
