/** What a task sends by `.delay()` inside a worker goes by the name that this worker knows it by. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { App, Worker } from "../../mod.ts";

const SOURCE = `
import { task } from ${JSON.stringify(new URL("../../mod.ts", import.meta.url).href)};
export const half = task((n: number) => n / 2);
export const quarter = task((n: number) => {
  const sent = half.delay(half(n));
  return sent.published.then(() => sent.taskName);
});
`;

describe("a task in a folder below that of -A, with a prefix", () => {
  let folder: string, app: App, worker: Worker;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "celeriac-nested-"));
    await mkdir(join(folder, "tasks/numbers/small"), { recursive: true });
    await writeFile(join(folder, "tasks/numbers/small/divide.ts"), SOURCE);
    app = new App({ broker: `sqlite:${join(folder, "broker.db")}` });
    worker = new Worker({
      settings: app.settings,
      modules: [join(folder, "tasks")],
      prefix: "shop",
      concurrency: 1,
    });
    await worker.start();
  });
  after(async () => {
    await worker.kill();
    await app.disconnect();
    await rm(folder, { recursive: true });
  });

  it("is sent by its whole name", async () => {
    const name = await app.sendTask<string>("shop.numbers.small.divide.quarter", [8]);
    assert.equal(name, "shop.numbers.small.divide.half");
  });
});
