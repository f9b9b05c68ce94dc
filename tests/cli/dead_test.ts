/** `celeriac dead`: what could not be run is listed, shown, put back and dropped. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { eventually } from "../conformance/patience.ts";
import { ageText } from "../../runtime/cli/dead.ts";
import { run } from "../servers/worker.ts";
import { Workshop } from "../worker/workshop.ts";

describe("celeriac dead", () => {
  let shop: Workshop;
  before(async () => {
    shop = await Workshop.open();
    const worker = await shop.worker("-c", "1");
    const lost = ["one", "two", "three"].map((word) =>
      shop.app.sendTask("late.echo", [word], {}, { taskId: word })
    );
    for (const result of lost) await assert.rejects(result.get({ timeout: 20 }), { name: "NotRegistered" });
    await eventually(async () => assert.equal((await shop.length()).dead, 3));
    await worker.stop();
  });
  after(() => shop[Symbol.asyncDispose]());

  const dead = (...args: string[]) => run(["dead", ...args, "-b", shop.broker], { cwd: shop.folder });

  it("lists them, the newest first, for people and for programs", async () => {
    const { code, stdout, stderr } = await dead("list");
    assert.equal(code, 0, stderr);
    assert.match(
      stdout,
      /^# +QUEUE +TASK +ID +AGE +REASON\n1 +celery +late\.echo +\w+ +\d+ s +the task late\.echo/,
    );
    const listed = JSON.parse((await dead("list", "--json")).stdout);
    assert.deepEqual(
      listed.map(({ position, queue, task }: Record<string, unknown>) => [position, queue, task]),
      [
        [1, "celery", "late.echo"],
        [2, "celery", "late.echo"],
        [3, "celery", "late.echo"],
      ],
    );
    assert.deepEqual(new Set(listed.map(({ id }: { id: string }) => id)), new Set(["one", "two", "three"]));
    assert.equal((await dead("list", "-Q", "other")).stdout, "(no dead letters)\n");
  });

  it("shows one whole", async () => {
    const [shown] = JSON.parse((await dead("show", "two", "--json")).stdout);
    assert.deepEqual([shown.id, shown.args, shown.kwargs], ["two", ["two"], {}]);
    assert.equal(JSON.parse(shown.message).headers.id, "two");
    assert.match(
      (await dead("show", "two")).stdout,
      /^position: \d\nqueue: celery\ntask: late\.echo\nid: two\n/,
    );
  });

  it("says which one there is not, and what is missing", async () => {
    const none = await dead("requeue", "four");
    assert.equal(none.code, 1);
    assert.match(none.stderr, /there is no dead letter four among the newest 100/);
    assert.equal((await dead("drop")).code, 2);
    assert.equal((await dead("show", "--all")).code, 2);
    assert.equal((await dead("bury", "1")).code, 2);
  });

  it("puts one back once its cause is mended, and drops the rest", async () => {
    assert.equal((await dead("requeue", "two")).stdout, "1 message requeued\n");
    await writeFile(join(shop.folder, "late.ts"), "export const echo = (word: string) => word;\n");
    const worker = await shop.worker("-c", "1", join(shop.folder, "late.ts"));
    await eventually(async () => assert.equal(await shop.app.AsyncResult("two").state, "SUCCESS"), 20_000);
    await worker.stop();
    assert.equal((await dead("drop", "--all")).stdout, "2 messages dropped\n");
    assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 0 });
  });

  it("tells ages as people do", () => {
    assert.deepEqual([-5, 4_999, 61_000, 7_300_000, 5 * 86_400_000].map(ageText), [
      "0 s",
      "4 s",
      "1 min",
      "2 h",
      "5 d",
    ]);
  });
});
