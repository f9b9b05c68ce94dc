/** How a worker starts: it works as soon as one isolate is ready, and says what is wrong with modules before all else. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { App, Worker } from "../../mod.ts";
import { WebWorkerIsolate } from "../../runtime/isolate/web_worker.ts";
import { withResolvers } from "../../runtime/platform.ts";
import type { IsolateMaker } from "../../runtime/worker/worker_options.ts";

const TASKS = fileURLToPath(new URL("./tasks.ts", import.meta.url));

describe("a worker that starts", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "celeriac-start-"));
  });
  after(() => rm(folder, { recursive: true }));

  it("works with the first isolate, and shares what waits with those that come later", async () => {
    const gate = withResolvers();
    let made = 0;
    const isolates: IsolateMaker = (settings, listener) => {
      const isolate = new WebWorkerIsolate(settings, listener);
      if (made++ === 0) return isolate;
      const start = isolate.start.bind(isolate);
      isolate.start = () => gate.promise.then(start);
      return isolate;
    };
    const app = new App({ broker: `sqlite:${join(folder, "start.db")}` });
    const worker = new Worker({ settings: app.settings, modules: [TASKS], concurrency: 2, isolates });
    await worker.start();
    assert.equal(await app.sendTask("tasks.add", [1, 2]).get({ timeout: 20 }), 3);
    // What comes behind a task that does not end here is for the other one.
    await app.sendTask("tasks.busy", [600_000]).published;
    const behind = app.sendTask("tasks.add", [2, 2]);
    await behind.published;
    gate.resolve();
    assert.equal(await behind.get({ timeout: 60 }), 4);
    assert.equal(made, 2);
    await worker.kill();
    await app.disconnect();
  });

  it("says what is wrong with the modules, also where the broker can't be reached", async () => {
    const bad = join(folder, "bad.ts");
    await writeFile(bad, "throw new RangeError('at load');\n");
    const app = new App({ broker: "redis://127.0.0.1:1" });
    const worker = new Worker({ settings: app.settings, modules: [bad] });
    await assert.rejects(worker.start(), /^TaskModuleError: .*bad\.ts does not load: RangeError: at load/);
    await worker.done;
    await app.disconnect();
  });
});
