/** Timers between workers, on a real broker: what each transport's test runs. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually } from "../conformance/patience.ts";
import { setUp } from "./in_process.ts";

const TIMING = fileURLToPath(new URL("./timing.ts", import.meta.url));

/** Describes what timers do on the broker of that kind. */
export function describeFarTimers(
  kind: string,
  start: () => Promise<{ url: string; close(): Promise<unknown> }>,
) {
  describe(`timers on ${kind}`, () => {
    let broker: Awaited<ReturnType<typeof start>>, folder: string, files = 0;
    let place: ReturnType<typeof setUp>;
    const newFile = () => join(folder, `marks${++files}`);
    const marks = (file: string) =>
      existsSync(file)
        ? readFileSync(file, "utf8").split("\n").slice(0, -1).map((line) => line.split(" ")[0])
        : [];

    before(async () => {
      folder = await mkdtemp(join(tmpdir(), "celeriac-timers-"));
      broker = await start();
      place = setUp({}, broker.url);
      // Each serves a queue of its own, so that a test says where a task runs. Callbacks may run in either.
      for (const queue of ["one", "two"]) {
        await place.worker([TIMING], { queues: [queue, "celery"], hostname: `celery@${queue}` });
      }
    });
    after(async () => {
      await place?.close();
      await broker?.close();
      await rm(folder, { recursive: true });
    });
    const call = <T>(queue: string, task: string, ...args: unknown[]) =>
      place.app.sendTask<T>(`timing.${task}`, args, {}, { queue }).get({ timeout: 30 });

    it("call back, as a task that any worker may run, under the timer's id", async () => {
      const file = newFile();
      const id = await call<string>("one", "set", 0.05, file, "soon");
      await eventually(() => assert.equal(existsSync(file) && readFileSync(file, "utf8"), `soon ${id}\n`));
    });

    it("are cancelled from another worker, and from the client, and then call nobody", async () => {
      const file = newFile();
      const ids = await Promise.all(["a", "b"].map((word) => call<string>("one", "set", 3600, file, word)));
      assert.deepEqual(await call("two", "cancel", ids[0]), ["cancelled"]);
      assert.deepEqual(await call("two", "cancel", ids[0]), ["too late"]);
      assert.equal(await place.app.timers.cancel(ids[1], { timeout: 10 }), "cancelled");
      assert.equal(await place.app.timers.cancel(ids[1], { timeout: 10 }), "too late");
      const listed = await place.app.timers.list({ timeout: 0.5 });
      assert.deepEqual(listed["celery@one"], { count: 0, timers: [] });
    });

    it("are cancelled for good, or have called: never both, never neither", async () => {
      const file = newFile();
      const count = 200;
      // Due while they are cancelled.
      const ids = await call<string[]>("one", "setMany", count, 0.03, file);
      const answers = await call<string[]>("one", "cancel", ...ids);
      const late = answers.flatMap((answer, i) => answer === "too late" ? [String(i)] : []);
      assert.ok(answers.every((answer) => answer === "cancelled" || answer === "too late"));
      await eventually(() => assert.deepEqual(new Set(marks(file)), new Set(late)));
      // What was due went out in order; a mark behind all of them says that no other follows.
      await call("one", "set", 0, file, "end");
      await eventually(() => assert.ok(marks(file).includes("end")));
      assert.deepEqual(new Set(marks(file)), new Set([...late, "end"]));
    });

    it("are durable where that is asked for, and cancelled by a revoke", async () => {
      const file = newFile();
      const [kept, dropped] = await Promise.all([
        call<string>("one", "set", 0.3, file, "kept", true),
        call<string>("one", "set", 3600, file, "dropped", true),
      ]);
      assert.match(kept, /^durable-timer-/);
      assert.deepEqual(await call("two", "cancel", dropped), ["cancelled"]);
      await eventually(() => assert.deepEqual(marks(file), ["kept"]));
      assert.equal(await place.app.timers.cancel(kept), "too late");
    });
  });
}
