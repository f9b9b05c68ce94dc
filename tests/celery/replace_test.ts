/** Tasks that others replace, that add to chords and that send tasks; saved groups: each side reads what the other has done. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type App, type AsyncResult, chain, chord, group, GroupResult, type Signature } from "../../mod.ts";
import type { PythonConsole } from "../servers/celery.ts";
import { type BothSides, startBothSides } from "./both_sides.ts";

const WAIT = { timeout: 30 };

describe("workflows that tasks begin", () => {
  let sides: BothSides | undefined;
  let py: PythonConsole;
  let app: App;

  const call = (name: string, ...args: unknown[]) =>
    app.signature<unknown>(name, args, {}, { queue: name.startsWith("js.") ? "ours" : "theirs" });

  before(async () => {
    sides = await startBothSides(
      "ours,celery",
      `
from celery import chain, group, chord

def call(name, *args):
    return task(name).s(*args).set(queue="ours" if name.startswith("js.") else "theirs")
`,
    );
    ({ app, py } = sides);
  });

  after(() => sides?.close());

  for (const [name, other] of [["js.becomes", "py.echo"], ["py.becomes", "js.echo"]]) {
    it(`${name} is replaced, and what waits for it goes on, on either side`, async () => {
      for (const [what, value] of [["task", 12], ["chain", 13], ["group", [3, 12]]] as const) {
        assert.deepEqual(await call(name, what, 2).delay().get(WAIT), value, what);
        assert.deepEqual(await chain(call(name, what, 2), call(other)).delay().get(WAIT), value, what);
        const told = await py.run(
          `chain(call("${name}", "${what}", 2), call("${other}")).apply_async().get(timeout=30)`,
        );
        assert.deepEqual(JSON.parse(told), value, what);
      }
    });

    it(`${name} is replaced in a chord, which counts it once`, async () => {
      const parts = ["task", "chain", "group"].map((what) => call(name, what, 2));
      const body = call(other) as unknown as Signature<[unknown[]], unknown>;
      assert.deepEqual(await chord(parts, body).delay().get(WAIT), [12, 13, [3, 12]]);
      const told = await py.run(
        `chord([call("${name}", what, 2) for what in ("task", "chain", "group")], call("${other}"))` +
          ".apply_async().get(timeout=30)",
      );
      assert.deepEqual(JSON.parse(told), [12, 13, [3, 12]]);
    });
  }

  for (const name of ["js.adds", "py.adds"]) {
    it(`${name} adds a part to its chord, of either side`, async () => {
      for (const body of ["js.echo", "py.echo"]) {
        const parts = [call(name, 1), call("js.add", 3, 4), call("py.add", 5, 6)];
        const sum = call(body) as unknown as Signature<[unknown[]], number[]>;
        const values = await chord(parts, sum).delay().get(WAIT);
        assert.deepEqual(values.toSorted((a, b) => a - b), [1, 7, 11, 101], body);
        const told = await py.run(
          `sorted(chord([call("${name}", 1), call("js.add", 3, 4)], call("${body}")).apply_async().get(timeout=30))`,
        );
        assert.deepEqual(JSON.parse(told), [1, 7, 101], body);
      }
    });
  }

  it("what a task sends is among its children, whoever asks", async () => {
    for (const name of ["js.sends", "py.sends"]) {
      const result = call(name, 5).delay() as AsyncResult<string>;
      const id = await result.get(WAIT);
      const [sums, sent] = await app.AsyncResult(result.id).children;
      assert.ok(sums instanceof GroupResult);
      assert.deepEqual(await sums.get(WAIT), [6, 7]);
      assert.equal(sent.id, id);
      const request = await (sent as AsyncResult<Record<string, string>>).get(WAIT);
      assert.equal(request.parentId ?? request.parent_id, result.id);
      assert.equal(request.rootId ?? request.root_id, result.id);
      const told = await py.run(
        `
sums, sent = AsyncResult(parent).children
[sums.get(timeout=30), sent.id, [str(result) for result, _ in AsyncResult(parent).collect()][0]]`,
        { parent: result.id },
      );
      assert.deepEqual(JSON.parse(told.replaceAll("'", '"')), [[6, 7], id, result.id]);
      const graph = await app.AsyncResult(result.id).graph();
      const lines = graph.split("\n");
      assert.equal(lines[0], `${result.id} SUCCESS "${id}"`);
      assert.deepEqual(lines.slice(1, 4).map((line) => line.replace(/[0-9a-f-]{36}/, "ID")), [
        "├── group[ID] of 2",
        "│   ├── ID SUCCESS 6",
        "│   └── ID SUCCESS 7",
      ]);
    }
  });

  it("a group that one side saves is restored by the other", async () => {
    const sent = group([call("js.add", 1, 2), call("py.add", 3, 4)]).delay();
    await sent.save();
    assert.equal(
      await py.run(`GroupResult.restore(saved, app=app).get(timeout=30)`, { saved: sent.id }),
      "[3, 7]",
    );
    const id = await py.run(`
saved = group([call("js.add", 1, 2), chain(call("py.add", 3, 4), call("js.add", 10))]).apply_async()
saved.save()
saved.id`);
    const { group: restored } = (await app.GroupResult.restore(id.slice(1, -1)))!;
    assert.deepEqual(await restored.get(WAIT), [3, 17]);
    assert.equal(await restored.results[1].parent!.get(WAIT), 7);
    await restored.delete();
    assert.equal(await py.run(`GroupResult.restore(saved.id, app=app)`), "None");
  });
});
