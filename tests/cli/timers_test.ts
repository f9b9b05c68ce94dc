/** `celeriac timers`, beside a worker whose tasks set them. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Folder } from "./folder.ts";

const MODULE = `
import { task } from "celeriac";
export const remind = (what: string) => what;
export const later = task({ bind: true }, (ctx, seconds: number) => [
  ctx.callAfter(seconds, remind, ["tea"]).id,
  ctx.callRepeatedly(2 * seconds, remind, ["pills"]).id,
]);
`;

describe("celeriac timers", () => {
  let folder: Folder;
  before(async () => {
    folder = await Folder.with({ "tea.ts": MODULE });
    await folder.worker("-A", "tea.ts", "-c", "1", "-n", "celery@kitchen");
  });
  after(() => folder[Symbol.asyncDispose]());

  it("lists the timers of all workers, and cancels them by their ids", async () => {
    const call = await folder.run(["call", "tea.later", "3600"]);
    assert.equal(call.code, 0, call.stderr);
    const [once, again] = JSON.parse(call.stdout) as string[];
    const [list, json] = await Promise.all([
      folder.run(["timers"]),
      folder.run(["timers", "list", "--json"]),
    ]);
    assert.match(list.stdout.split("\n")[0], /^due +every +task +worker +id$/);
    assert.match(list.stdout, /Z +tea\.remind +celery@kitchen +timer-/);
    assert.match(list.stdout, /Z +7200 s +tea\.remind +celery@kitchen +timer-/);
    assert.deepEqual(
      JSON.parse(json.stdout)["celery@kitchen"].timers.map(({ id }: { id: string }) => id),
      [once, again],
    );
    assert.deepEqual(await folder.run(["timers", "cancel", once]), {
      code: 0,
      stdout: "cancelled\n",
      stderr: "",
    });
    const both = await folder.run(["timers", "cancel", once, again]);
    assert.equal(both.code, 1);
    assert.equal(both.stdout, `${once}: too late\n${again}: cancelled\n`);
    assert.match(both.stderr, /1 of 2 not cancelled/);
  });

  it("says what it wants", async () => {
    const [none, some] = await Promise.all([
      folder.run(["timers", "cancel"]),
      folder.run(["timers", "list", "timer-1"]),
    ]);
    assert.equal(none.code, 2);
    assert.match(none.stderr, /which timers/);
    assert.equal(some.code, 2);
  });
});
