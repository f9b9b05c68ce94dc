/** Workers that hold tasks to their time: what their callers see, and what becomes of messages. */
import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { after, before, describe, it } from "node:test";
import { SoftTimeLimitExceeded, TaskError, TimeLimitExceeded } from "../../mod.ts";
import { eventually, within } from "../conformance/patience.ts";
import { setUp } from "./in_process.ts";
import { logOf, marksIn, Workshop } from "./workshop.ts";

const LIMITED = fileURLToPath(new URL("./limited.ts", import.meta.url));
const TASKS = fileURLToPath(new URL("./tasks.ts", import.meta.url));

/** The error that a task fails with. */
async function failure(result: PromiseLike<unknown>): Promise<TaskError> {
  try {
    await within(20_000, result, "the failure");
  } catch (error) {
    if (error instanceof TaskError) return error;
    throw error;
  }
  throw new Error("the task succeeded");
}

describe("a worker", () => {
  const world = setUp();
  const { app } = world;
  const call = (
    task: string,
    args: unknown[] = [],
    limits: { timeLimit?: number; softTimeLimit?: number } = {},
  ) => app.sendTask(`limited.${task}`, args, {}, limits);
  const length = async () => (await (await app.transport()).lengths(["celery"]))[0];

  before(() => world.worker([TASKS, LIMITED], { concurrency: 1 }));
  after(() => world.close());

  it("ends a busy loop at its hard limit: it fails as in Celery, and the next task runs", async () => {
    const shop = await Workshop.open();
    try {
      const file = shop.file("beats");
      const looping = call("beat", [file], { timeLimit: 0.3 });
      const error = await failure(looping);
      assert.ok(error instanceof TimeLimitExceeded);
      assert.equal(error.type, "TimeLimitExceeded");
      assert.equal(error.module, "billiard.exceptions");
      assert.deepEqual(error.args, [0.3]);
      assert.equal(error.traceback, null);
      assert.equal(await looping.status, "FAILURE");
      assert.equal(await app.sendTask("tasks.add", [1, 2]), 3);
      await eventually(async () => {
        const { size } = await stat(file);
        await sleep(50);
        assert.equal((await stat(file)).size, size, "it computes no more");
      });
      assert.equal((await length()).unacked, 0);
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("tells a task by its signal that its soft limit is over", async () => {
    const error = await failure(call("heedSignal", [], { softTimeLimit: 0.05 }));
    assert.ok(error instanceof SoftTimeLimitExceeded);
    assert.equal(error.module, "billiard.exceptions");
    assert.deepEqual(error.args, [], "as Celery stores it");
    assert.equal((await failure(call("heedSignalBusily"))).type, "SoftTimeLimitExceeded");
    assert.equal(await call("tidyUp"), "SoftTimeLimitExceeded");
  });

  it("keeps messages of failed tasks as dead letters where acksOnFailureOrTimeout is false", async () => {
    const before = (await length()).dead;
    assert.equal((await failure(call("kept1"))).type, "TimeLimitExceeded");
    assert.equal((await failure(call("keptFailure", ["bad"]))).type, "RangeError");
    const letters = await eventually(async () => {
      const letters = await (await app.transport()).deadLetters("celery", 10);
      assert.equal(letters.length, before + 2);
      return letters;
    });
    assert.deepEqual(letters.slice(0, 2).map(({ reason }) => reason).toSorted(), [
      "its task ran longer than its time limit of 0.1 s",
      "the task failed: RangeError: bad",
    ]);
  });

  it("fails a task at its limit whose message was acknowledged before", async () => {
    assert.equal((await failure(call("earlyFor"))).type, "TimeLimitExceeded");
    assert.equal(await app.sendTask("tasks.add", [2, 2]), 4);
  });

  it("runs the others of an isolate again, marked, when one of its tasks meets its limit", async () => {
    const shop = await Workshop.open();
    try {
      const worker = await shop.worker("-c", "1", "--slots", "2");
      const gate = shop.gate(), file = shop.file("marks");
      const innocent = shop.jobs.markAndHold(file, gate.path);
      await eventually(async () => assert.equal((await marksIn(file)).length, 1));
      const blocking = shop.app.sendTask("jobs.block", [shop.gate().path], {}, { timeLimit: 0.2 });
      const behind = [shop.jobs.echo(1), shop.jobs.echo(2)];
      assert.equal((await failure(blocking)).type, "TimeLimitExceeded");
      assert.deepEqual(await within(20_000, Promise.all(behind), "what waited"), [1, 2]);
      await gate.open();
      assert.equal(await within(20_000, innocent, "the innocent"), "let go");
      assert.deepEqual((await marksIn(file)).map(({ again }) => again), [false, true]);
      const [line, ...rest] = logOf(worker).filter(({ level }) => level === "error");
      assert.equal(line.message, `Task jobs.block[${blocking.id}] has exceeded its hard time limit of 0.2 s`);
      assert.deepEqual(rest, []);
      assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 0 });
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("has flags for all limits", async () => {
    const shop = await Workshop.open();
    try {
      const flags = ["--time-limit", "0.6", "--soft-time-limit", "0.2", "--max-tasks-per-child", "1"];
      const worker = await shop.worker(
        "-A",
        LIMITED,
        "-c",
        "1",
        ...flags,
        "--max-memory-per-child",
        "1000000",
      );
      const here = shop.app.module<typeof import("./limited.ts")>("limited");
      assert.notEqual(await here.where(), await here.where());
      assert.equal((await failure(shop.app.sendTask("limited.heedSignal"))).type, "SoftTimeLimitExceeded");
      assert.deepEqual((await failure(here.busy())).args, [0.6]);
      assert.equal(await worker.stop(), 0);
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });
});
