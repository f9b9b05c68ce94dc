/** The way of a task through a worker in this process, on a memory broker. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, describe, it } from "node:test";
import type { App } from "../../runtime/client/app.ts";
import { TaskError } from "../../runtime/protocol/errors.ts";
import type { Worker } from "../../runtime/worker/worker.ts";
import { setUp } from "./in_process.ts";
import type * as tasks from "./tasks.ts";

const MODULES = [fileURLToPath(new URL("./tasks.ts", import.meta.url))];

describe("a worker", () => {
  let app: App, worker: Worker, close: () => Promise<void>;
  const call = () => app.module<typeof tasks>("tasks");

  before(async () => {
    const all = setUp();
    ({ app, close } = all);
    worker = await all.worker(MODULES, { concurrency: 2 });
  });
  after(() => close());

  it("knows the tasks of its modules", () => {
    assert.ok(worker.tasks.some((task) => task.name === "tasks.add"));
    assert.equal(worker.tasks.find((task) => task.name === "tasks.quiet")?.options.ignoreResult, true);
  });

  it("runs a task and stores its result", async () => {
    const result = call().add(1, 2);
    assert.equal(await result, 3);
    assert.equal(await result.status, "SUCCESS");
    assert.equal(await app.AsyncResult(result.id).successful(), true);
  });

  it("awaits what a task waits for", async () => {
    assert.equal(await call().wait(5), 5);
  });

  it("tells a caller of a task's error", async () => {
    const result = call().fail("bad");
    await assert.rejects(result.get(), (error) => {
      assert.ok(error instanceof TaskError);
      assert.equal(error.name, "RangeError");
      assert.equal(error.message, "bad");
      assert.match(error.traceback!, /tasks\.ts/);
      return true;
    });
    assert.equal(await result.failed(), true);
  });

  it("fails a task whose result can't be written, with the path of the value", async () => {
    await assert.rejects(app.sendTask("tasks.unserializable").get(), /items\[1\]\.callback/);
  });

  it("fails a task that nobody knows, and keeps its message", async () => {
    await assert.rejects(
      app.sendTask("tasks.nowhere", [1]).get(),
      (error: Error) => error.name === "NotRegistered",
    );
    const dead = await (await app.transport()).deadLetters("celery", 10);
    assert.ok(dead.some(({ reason }) => reason.includes("tasks.nowhere")));
  });

  it("runs ten thousand calls of one tick", async () => {
    const results = Array.from({ length: 10_000 }, (_, i) => call().add(i, 1));
    const sums = await Promise.all(results);
    assert.deepEqual(sums, Array.from({ length: 10_000 }, (_, i) => i + 1));
  });

  it("hands a running task its context", async () => {
    const result = app.sendTask("tasks.whoAmI");
    assert.equal(await result, `tasks.whoAmI ${result.id} celery@test0`);
  });

  it("stores nothing of a task that ignores its result", async () => {
    const result = call().quiet(1);
    await result.published;
    await call().add(1, 1);
    assert.equal(await result.status, "PENDING");
  });

  it("does not start what has expired", async () => {
    const result = app.sendTask("tasks.add", [1, 2], {}, { expires: -1 });
    await assert.rejects(result.get(), (error: Error) => error.name === "TaskRevokedError");
    assert.equal(await result.status, "REVOKED");
  });

  it("starts nothing before its time", async () => {
    const sent = Date.now();
    const result = app.sendTask("tasks.add", [1, 2], {}, { countdown: 0.3 });
    assert.equal(await result, 3);
    assert.ok(Date.now() - sent >= 300);
  });

  it("tells a task that sends another that a memory broker can't be reached from there", async () => {
    await assert.rejects(app.sendTask("tasks.sendsAnother", [1]).get(), /memory:.*use sqlite:/);
  });

  it("answers a ping", async () => {
    assert.deepEqual(await app.inspect.ping({ destination: ["celery@test0"] }), {
      "celery@test0": { ok: "pong" },
    });
  });

  for (const how of ["exit", "throw", "reject"] as const) {
    it(`fails a task that ends its isolate by ${how}, and replaces the isolate`, async () => {
      await assert.rejects(app.sendTask("tasks.die", [how]).get(), (error: Error) => {
        assert.equal(error.name, "WorkerLostError");
        return true;
      });
      assert.equal(await call().add(2, 2), 4);
    });
  }

  it("runs a task again that asks for it when its isolate dies", async () => {
    assert.equal(await app.sendTask("tasks.dieOnce"), "again");
  });

  it("lets no task wait behind a long one while an isolate is idle", async () => {
    // Quick ones first, so that jobs are handed over ahead of time.
    await Promise.all(Array.from({ length: 200 }, (_, i) => call().add(i, 1)));
    const long = call().busy(1500);
    const others = Array.from({ length: 50 }, (_, i) => call().add(i, 1));
    const first = await Promise.race([long, Promise.all(others).then(() => "others")]);
    assert.equal(first, "others");
    assert.equal(await long, 1500);
  });
});

describe("a task that sends another", () => {
  it("sends it to the broker that it came from itself", async () => {
    const folder = await mkdtemp(join(tmpdir(), "celeriac-worker-"));
    const { app, worker, close } = setUp({}, `sqlite:${join(folder, "broker.db")}`);
    try {
      await worker(MODULES, { concurrency: 2 });
      assert.equal(await app.sendTask("tasks.sendsAnother", [1]), 2);
    } finally {
      await close();
      await rm(folder, { recursive: true });
    }
  });
});

describe("a stopping worker", () => {
  it("finishes what runs and gives back what has not started", async () => {
    const { app, worker: start, close } = setUp();
    try {
      const worker = await start(MODULES);
      const running = app.sendTask("tasks.tracked", [200]);
      while (await running.status !== "STARTED") await new Promise((resolve) => setImmediate(resolve));
      const waiting = Array.from({ length: 5 }, (_, i) => app.sendTask("tasks.add", [i, 1]));
      await Promise.all(waiting.map((result) => result.published));
      worker.stop();
      await worker.done;
      assert.equal(await running.status, "SUCCESS");
      const [length] = await (await app.transport()).lengths(["celery"]);
      assert.equal(length.ready, 5);
      assert.equal(length.unacked, 0);
      await start(MODULES);
      assert.deepEqual(await Promise.all(waiting), [1, 2, 3, 4, 5]);
    } finally {
      await close();
    }
  });

  it("ends by itself once its queues are drained", async () => {
    const { app, worker: start, close } = setUp();
    try {
      const results = Array.from({ length: 300 }, (_, i) => app.sendTask("tasks.add", [i, 1]));
      await Promise.all(results.map((result) => result.published));
      const worker = await start(MODULES, { drain: true });
      await worker.done;
      assert.equal(worker.counts.succeeded, 300);
    } finally {
      await close();
    }
  });

  it("gives back what ran when it is killed, marked", async () => {
    const { app, worker: start, close } = setUp();
    try {
      const worker = await start(MODULES);
      const running = app.sendTask("tasks.tracked", [60_000]);
      while (await running.status !== "STARTED") await new Promise((resolve) => setImmediate(resolve));
      await worker.kill();
      const [length] = await (await app.transport()).lengths(["celery"]);
      assert.equal(length.ready, 1);
    } finally {
      await close();
    }
  });
});
