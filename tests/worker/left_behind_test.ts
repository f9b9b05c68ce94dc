/** What tasks throw that nobody can read, and what they leave behind: it is theirs alone. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { TaskError } from "../../mod.ts";
import { runtimeName } from "../../runtime/platform.ts";
import { within } from "../conformance/patience.ts";
import { setUp } from "./in_process.ts";

const MODULE = `
  let runs = 0;
  /** Counts on as long as the isolate lives. */
  export const alive = () => ++runs;
  export const evaluate = (code: string) => new Function(code)();
  export const leave = () => void (async () => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    throw new Error("left behind");
  })();
  export const wait = async () => {
    await new Promise((resolve) => setTimeout(resolve, 200));
    return "waited";
  };
`;

const getter = (name: string) =>
  `const error = new Error("x"); Object.defineProperty(error, "${name}", { get() { throw new Error("${name}"); } }); throw error;`;

/** Code of a task, and what its caller hears. */
const unreadable: readonly (readonly [code: string, error: RegExp])[] = [
  [getter("message"), /can't be read: Error: message/],
  [getter("stack"), /can't be read: Error: stack/],
  [getter("cause"), /can't be read: Error: cause/],
  [`throw new Proxy({}, { get() { throw new Error("trap"); } });`, /can't be read: Error: trap/],
  [`throw Object.assign(new Error("x"), { stack: 5 });`, /^x$/],
  [`const error = new AggregateError([], "x"); error.errors = 5; throw error;`, /^x$/],
  [`throw Object.create(null);`, /^{}$/],
  [`return { get then() { throw new Error("getter"); } };`, /^getter$/],
  [`return { then() { throw new Error("then"); } };`, /^then$/],
];

describe("a task", () => {
  const place = setUp();
  let folder = "";
  const call = (task: string, ...args: unknown[]) =>
    within(10_000, place.app.sendTask<unknown>(`odd.${task}`, args), task);
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "celeriac-odd-"));
    await writeFile(join(folder, "odd.ts"), MODULE);
    await place.worker([join(folder, "odd.ts")], { slots: 2 });
  });
  after(async () => {
    await place.close();
    await rm(folder, { recursive: true });
  });

  it("that throws or returns what can't be read fails, and its isolate goes on", async () => {
    for (const [code, expected] of unreadable) {
      const error: unknown = await call("evaluate", code).catch((error) => error);
      assert.ok(error instanceof TaskError, code);
      assert.match(error.message, expected);
    }
    assert.equal(await call("alive"), 1);
    assert.equal(await call("evaluate", `return { then(resolve) { resolve(1); resolve(2); throw 3; } };`), 1);
    assert.equal(await call("alive"), 2);
  });

  it("that puts other things in the place of the clock and the like holds up nobody after it", async () => {
    await call(
      "evaluate",
      `performance.now = Date.now = () => NaN; globalThis.setTimeout = () => 0; Atomics.load = Atomics.store = () => 0;`,
    );
    assert.equal(await call("alive"), 3);
    // The second one waits for a report in time.
    assert.deepEqual(await Promise.all([call("alive"), call("evaluate", "return Promise.resolve(7);")]), [
      4,
      7,
    ]);
    await assert.rejects(call("evaluate", "process.exit(1);"), /exit/);
    assert.equal(await call("alive"), 1);
  });

  // Bun does not tell to which task a rejection belongs.
  if (runtimeName === "deno") {
    it("that leaves a rejection behind is to blame for it, and not the one that runs then", async () => {
      await call("leave");
      assert.equal(await call("wait"), "waited");
    });
  }
});
