/** What belongs to a workflow: its results as a tree, groups that are saved, and what tasks send themselves. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  App,
  chain,
  chord,
  defaultApp,
  group,
  type GroupResult,
  type ResultTuple,
  task,
  type TaskError,
} from "../../mod.ts";
import { oneWorker } from "./one_worker.ts";

const add = (x: number, y: number) => x + y;
const steps = {
  add,
  double: (x: number) => 2 * x,
  sum: (values: readonly number[]) => values.reduce((a, b) => a + b, 0),
  who: task({ bind: true }, (ctx) => [ctx.id, ctx.parentId, ctx.rootId]),
};
const t = {
  ...steps,
  fail: (word: string): never => {
    throw new RangeError(word);
  },
  quiet: task({ trail: false }, () => defaultApp().module<typeof steps>("t").who().id),
  /** Sends two tasks and a chain, and answers with their ids. */
  sends: task({ bind: true }, (ctx, fails: boolean) => {
    const f = defaultApp().module<typeof steps>("t");
    const one = f.who();
    const last = chain(f.add.s(1, 2), f.double.s()).delay();
    const both = group([f.add.s(3, 4), f.double.s(5)]).delay();
    if (fails) throw new RangeError(one.id);
    return [ctx.id, one.id, last.parent!.id, last.id, both.id];
  }),
};

const worker = oneWorker(t);
const { start } = worker;

/** A tree whose ids are replaced by the letters of those that are named. */
function named(tree: string, names: Readonly<Record<string, string>>): string[] {
  return tree.split("\n").map((line) => {
    for (const [name, id] of Object.entries(names)) line = line.replaceAll(id, name);
    return line;
  });
}

describe("what a task sends", () => {
  it("belongs to its tree, and is among the children of its result", async () => {
    const { f, app } = await start();
    const [id, one, first, last, both] = await f.sends(false) as string[];
    assert.deepEqual(await app.AsyncResult(one), [one, id, id]);
    const meta = (await app.AsyncResult(id).meta())!;
    const [, , group] = meta.children as ResultTuple[];
    assert.deepEqual(meta.children, [[[one, null], null], [[first, null], null], [[both, null], group[1]]]);
    assert.equal(group[1]!.length, 2);
    const children = await app.AsyncResult(id).children;
    assert.deepEqual(await Promise.all(children.map((each) => each.get())), [[one, id, id], 3, [7, 10]]);
    assert.equal((await app.AsyncResult(last).meta())!.parentId, first);
  });

  it("stands beside the error of one that fails", async () => {
    const { f, app } = await start();
    const failed = f.sends(true);
    const { message: one } = await failed.get({ propagate: false }) as unknown as TaskError;
    const [child] = await app.AsyncResult(failed.id).children;
    assert.equal(child.id, one);
    assert.deepEqual(await child, [one, failed.id, failed.id]);
  });

  it("stands before what follows it", async () => {
    const { f, app } = await start();
    const result = f.sends.s(false).link(app.signature("t.who", [], {}, { immutable: true })).delay();
    const [, one] = await result;
    const children = await app.AsyncResult(result.id).children;
    assert.deepEqual([children.length, children[0].id], [4, one]);
  });

  it("is not recorded where the task says so", async () => {
    const { f, app } = await start();
    const result = f.quiet();
    const one = await result;
    assert.deepEqual(await app.AsyncResult(result.id).children, []);
    assert.deepEqual(await app.AsyncResult(one), [one, result.id, result.id]);
  });

  it("is recorded by an app that runs its tasks itself, too", async () => {
    const app = new App({ alwaysEager: true });
    app.register("t", {
      add,
      sends: task({ bind: true }, () => app.sendTask("t.add", [1, 2]).id),
    });
    const result = app.sendTask<string>("t.sends");
    const child = await result;
    const [known] = await result.children;
    assert.deepEqual([known.id, await known], [child, 3]);
    await app.disconnect();
  });
});

describe("graph", () => {
  it("draws a workflow from its first step, each with its state and value", async () => {
    const { f, app } = await start({ resultExtended: true });
    const result = chain(f.add.s(1, 2), f.double.s(), f.add.s(10)).delay();
    const second = result.parent!, first = second.parent!;
    await result;
    const names = { first: first.id, second: second.id, last: result.id };
    const drawn = [
      "t.add[first] SUCCESS 3",
      "└── t.double[second] SUCCESS 6",
      "    └── t.add[last] SUCCESS 16",
    ];
    assert.deepEqual(named(await result.graph(), names), drawn);
    assert.deepEqual(named(await app.AsyncResult(first.id).graph(), names), drawn);
    assert.deepEqual(named(await app.AsyncResult(result.id).graph(), names), ["t.add[last] SUCCESS 16"]);
  });

  it("draws groups with their parts, and what is not known yet as PENDING", async () => {
    const { f } = await start();
    const result = chain(f.add.s(1, 2), group(f.double.s(), chain(f.add.s(10), f.double.s()))).applyAsync({
      countdown: 60,
    });
    const [one, other] = result.results;
    const names = {
      first: result.parent!.id,
      group: result.id,
      one: one.id,
      inner: other.parent!.id,
      other: other.id,
    };
    assert.deepEqual(named(await result.graph(), names), [
      "t.add[first] PENDING",
      "└── group[group] of 2",
      "    ├── t.double[one] PENDING",
      "    └── t.add[inner] PENDING",
      "        └── t.double[other] PENDING",
    ]);
    await worker.open.advance(60);
    assert.deepEqual(await result, [6, 26]);
    assert.deepEqual(named(await result.graph(), names), [
      "t.add[first] SUCCESS 3",
      "└── group[group] of 2",
      "    ├── t.double[one] SUCCESS 6",
      "    └── t.add[inner] SUCCESS 13",
      "        └── t.double[other] SUCCESS 26",
    ]);
  });

  it("draws the body of a chord behind its parts, as what comes then", async () => {
    const { f } = await start();
    const counted = chord([f.double.s(1), chain(f.add.s(1, 2), f.double.s())], f.sum.s());
    const result = chain(counted, f.double.s()).delay();
    assert.equal(await result, 16);
    const sum = result.parent!, header = sum.parent as GroupResult;
    const [one, two] = header.results;
    const names = {
      header: header.id,
      one: one.id,
      two: two.id,
      inner: two.parent!.id,
      sum: sum.id,
      last: result.id,
    };
    assert.deepEqual(named(await result.graph(), names), [
      "group[header] of 2",
      "├── t.double[one] SUCCESS 2",
      "├── t.add[inner] SUCCESS 3",
      "│   └── t.double[two] SUCCESS 6",
      "└── then t.sum[sum] SUCCESS 8",
      "    └── t.double[last] SUCCESS 16",
    ]);
  });

  it("shows errors, shortens what is long, and leaves out what is beyond its limit", async () => {
    const { f } = await start();
    const failed = f.fail("no\nway");
    await failed.get({ propagate: false });
    assert.equal(await failed.graph(), `t.fail[${failed.id}] FAILURE RangeError: no way`);
    const long = worker.open.app.sendTask("t.add", ["a".repeat(100), ""]);
    await long;
    assert.equal(await long.graph(), `t.add[${long.id}] SUCCESS "${"a".repeat(56)}...`);
    const many = group(Array.from({ length: 5 }, (_, i) => f.double.s(i))).delay();
    await many;
    const lines = (await many.graph({ limit: 3 })).split("\n");
    assert.deepEqual([lines.length, lines[0], lines[3]], [4, `group[${many.id}] of 5`, "└── and 3 more"]);
    await assert.rejects(many.graph({ limit: 0 }), { name: "RangeError" });
  });
});

describe("a saved group", () => {
  it("is restored by its id, with what stands before it", async () => {
    const { f, app } = await start();
    const sent = chain(f.add.s(1, 2), group(f.double.s(), f.add.s(10))).delay();
    await sent.save();
    const { group: restored } = (await app.GroupResult.restore<[number, number]>(sent.id))!;
    assert.deepEqual(await restored, [6, 13]);
    assert.equal(await restored.parent, 3);
    assert.deepEqual(restored.asTuple(), sent.asTuple());
    await restored.delete();
    assert.equal(await app.GroupResult.restore(sent.id), null);
  });

  it("is kept by an app that runs its tasks itself, too", async () => {
    const app = new App({ alwaysEager: true });
    app.register("t", { add });
    const sent = group([app.signature<number>("t.add", [1, 2])]).delay();
    await sent.save();
    assert.deepEqual(await (await app.GroupResult.restore(sent.id))!.group, [3]);
    await app.disconnect();
  });
});
