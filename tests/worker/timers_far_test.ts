/** Timers between workers on SQLite and Redis, and in isolates that end or block. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually } from "../conformance/patience.ts";
import { temporaryBroker } from "../examples/program.ts";
import { startRedis } from "../servers/redis.ts";
import { setUp } from "./in_process.ts";
import { describeFarTimers } from "./timers_far.ts";

describeFarTimers("SQLite", async () => {
  const { url, remove } = await temporaryBroker();
  return { url, close: remove };
});

describeFarTimers("Redis", async () => {
  const server = await startRedis();
  return { url: server.url, close: () => server.stop() };
});

describe("timers and isolates", () => {
  const place = setUp();
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "celeriac-timers-"));
    const timing = fileURLToPath(new URL("./timing.ts", import.meta.url));
    await place.worker([timing], { concurrency: 2 });
  });
  after(async () => {
    await place.close();
    await rm(folder, { recursive: true });
  });

  it("outlive the isolate of the task that set them", async () => {
    const file = join(folder, "died");
    await assert.rejects(place.app.sendTask("timing.setAndDie", [0.3, file, "still"]).get(), {
      name: "WorkerLostError",
      message: /isolate/,
    });
    await eventually(() => assert.ok(existsSync(file)));
  });

  it("are set and cancelled from an isolate in a process of its own, in the same hub", async () => {
    const file = join(folder, "apart"), never = join(folder, "never");
    const other = await place.app.sendTask<string>("timing.set", [3600, never, "never"]);
    const [id, answer] = await place.app.sendTask<[string, string]>("timing.setApart", [
      0.05,
      file,
      "apart",
      other,
    ]);
    assert.equal(answer, "cancelled");
    const hubOf = (id: string) => /^timer-[0-9a-f-]{36}/.exec(id)?.[0];
    assert.equal(hubOf(id), hubOf(other));
    await eventually(() => assert.equal(existsSync(file) && readFileSync(file, "utf8"), `apart ${id}\n`));
    assert.ok(!existsSync(never));
  });

  it("call in another isolate while the task that set them blocks its own", async () => {
    await place.app.sendTask("timing.setAndBlock", [0.05, join(folder, "blocked"), "called"]).get({
      timeout: 30,
    });
  });
});
