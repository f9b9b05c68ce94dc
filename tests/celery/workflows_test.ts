/** Workflows across languages: chains, groups, links and error callbacks of either side, with steps on both. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type App, chain, chunks, group, map, starmap } from "../../mod.ts";
import type { PythonConsole, PythonError } from "../servers/celery.ts";
import { type BothSides, startBothSides } from "./both_sides.ts";

describe("workflows", () => {
  let sides: BothSides | undefined;
  let py: PythonConsole;
  let app: App;

  /** A step that Python runs, and one of ours. */
  const python = <R = number>(name: string, ...args: unknown[]) =>
    app.signature<R>(`py.${name}`, args, {}, { queue: "theirs" });
  const js = <R = number>(name: string, ...args: unknown[]) =>
    app.signature<R>(`js.${name}`, args, {}, { queue: "ours" });

  before(async () => {
    sides = await startBothSides(
      "ours",
      `
import time as clock
from celery import chain, group, chord

def js(name, *args, **options):
    return task("js." + name).s(*args).set(queue="ours", **options)

def python(name, *args, **options):
    return task("py." + name).s(*args).set(queue="theirs", **options)

def parents(result):
    ids = []
    while result is not None:
        ids.append((result.id, result.get(timeout=30)))
        result = result.parent
    return [value for _, value in ids]

def popped(key):
    return store.blpop(key, 30)[1].decode()
`,
    );
    ({ app, py } = sides);
  });

  after(() => sides?.close());

  it("a chain of Python's goes through both workers and back", async () => {
    const call =
      `chain(python("add", 1, 2), js("add", 10), python("add", 100), js("add", 1000)).apply_async()`;
    assert.equal(await py.run(`parents(${call})`), "[1113, 113, 13, 3]");
    assert.equal(
      await py.run(`parents(chain(js("add", 1, 2), python("add", 10), js("add", 20)).apply_async())`),
      "[33, 13, 3]",
    );
  });

  it("a chain of ours goes through both workers and back", async () => {
    const result = chain(js("add", 1, 2), python("add", 10), js("add", 100), python("add", 1000)).delay();
    assert.equal(await result.get({ timeout: 30 }), 1113);
    assert.equal(await result.parent!.get(), 113);
    assert.equal(await result.parent!.parent!.parent!.get(), 3);
  });

  it("a group of either side has parts on both, also at the end of a chain", async () => {
    const parts = `[js("add", 1), python("add", 2), chain(js("add", 3), python("add", 4))]`;
    assert.equal(
      await py.run(`chain(js("add", 1, 2), group(${parts})).apply_async().get(timeout=30)`),
      "[4, 5, 10]",
    );
    assert.equal(await py.run(`group(${parts}).apply_async((10,)).get(timeout=30)`), "[11, 12, 17]");
    const ours = [js("add", 1), python("add", 2), chain(js("add", 3), python("add", 4))];
    assert.deepEqual(await chain(python("add", 1, 2), group(ours)).delay().get({ timeout: 30 }), [4, 5, 10]);
    assert.deepEqual(await group(ours).delay(10).get({ timeout: 30 }), [11, 12, 17]);
  });

  it("callbacks are called on the other side", async () => {
    await js("add", 1, 2).link(
      app.signature("py.note", ["linked", "one"], {}, { queue: "theirs", immutable: true }),
    ).delay();
    assert.equal(await py.run(`popped("linked")`), "'one'");
    await python("add", 1, 2).link(
      app.signature("js.note", ["linked-here", "two"], {}, { queue: "ours", immutable: true }),
    ).delay();
    assert.equal(await py.run(`popped("linked-here")`), "'two'");
    assert.equal(
      await py.run(`
result = js("add", 1, 2).apply_async(link=python("add", 5))
result.get(timeout=30)
result.children[0].get(timeout=30)`),
      "8",
    );
  });

  it("a step that fails ends the chain on both sides, and its error callbacks are told", async () => {
    await assert.rejects(
      py.run(
        `chain(js("fail", "ValueError", "bad"), python("add", 1), js("add", 2)).apply_async().get(timeout=30)`,
      ),
      (error: PythonError) => error.name === "ValueError" && error.args === "('bad', 42)",
    );
    const result = chain(python("fail", "ValueError", "bad"), js("add", 1), python("add", 2)).delay();
    await assert.rejects(result.get({ timeout: 30 }), { name: "ValueError", message: "bad" });
    const failures = [["js", '"fail", "ValueError", "bad"', "python"], [
      "python",
      '"fail", "ValueError"',
      "js",
    ], [
      "js",
      '"nothing"',
      "js",
    ]];
    for (const [failing, call, told] of failures) {
      const noted = await py.run(`
result = ${failing}(${call}).apply_async(link_error=${told}("failed"))
popped("failed") == result.id`);
      assert.equal(noted, "True", failing);
    }
  });

  it("map, starmap and chunks of either side run on the other", async () => {
    const add = (queue: string) => app.signature<number>(queue === "ours" ? "js.add" : "py.add");
    for (const queue of ["ours", "theirs"]) {
      const name = queue === "ours" ? "js.add" : "py.add";
      const single = queue === "ours" ? "js.echo" : "py.echo";
      assert.deepEqual(
        await starmap(add(queue), [[1, 2], [3, 4]]).set({ queue }).delay().get({ timeout: 30 }),
        [3, 7],
      );
      assert.deepEqual(
        await map(app.signature<number>(single), [1, 2]).set({ queue }).delay().get({ timeout: 30 }),
        [1, 2],
      );
      const parts = await chunks(add(queue), [[1, 2], [3, 4], [5, 6]], 2).set({ queue }).delay().get({
        timeout: 30,
      });
      assert.deepEqual(parts, [[3, 7], [11]]);
      assert.equal(
        await py.run(
          `task("${name}").starmap([(1, 2), (3, 4)]).apply_async(queue="${queue}").get(timeout=30)`,
        ),
        "[3, 7]",
      );
      assert.equal(
        await py.run(`task("${single}").map([1, 2]).apply_async(queue="${queue}").get(timeout=30)`),
        "[1, 2]",
      );
      assert.equal(
        await py.run(
          `task("${name}").chunks([(1, 2), (3, 4), (5, 6)], 2).apply_async(queue="${queue}").get(timeout=30)`,
        ),
        "[[3, 7], [11]]",
      );
    }
  });
});
