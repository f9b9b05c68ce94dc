/** What may have run before is not run again where its result is known. */
import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { task, uid } from "../../mod.ts";
import { decodeEnvelope, encodeEnvelope, markRestored } from "../../runtime/protocol/envelope.ts";
import { encodeFailure, encodeState, encodeSuccess } from "../../runtime/protocol/result_meta.ts";
import { encodeTask } from "../../runtime/protocol/task_message.ts";
import { startTesting, type Testing, type TestingOptions } from "../../runtime/testing.ts";

const open: Testing[] = [];
afterEach(async () => {
  for (const testing of open.splice(0)) await testing.close();
});

/** A worker whose tasks count their runs, and a way to let a message of one come as a second delivery. */
async function setUp(settings: TestingOptions["settings"] = {}) {
  const runs: string[] = [];
  const run = (name: string) => () => {
    runs.push(name);
    return "ran";
  };
  const testing = await startTesting({
    settings,
    tasks: {
      t: {
        usual: run("usual"),
        never: task({ dedupe: false }, run("never")),
        always: task({ dedupe: true }, run("always")),
        ignored: task({ ignoreResult: true }, run("ignored")),
      },
    },
  });
  open.push(testing);
  const { app, idle } = testing;
  return {
    ...testing,
    runs,
    async store(id: string, state: string, text: string): Promise<void> {
      await (await app.results()).store([{ id, state, text, ttl: 60 }]);
    },
    /** Delivers a message that may have been delivered before. */
    async redeliver(name: string, id: string, retries = 0, redelivered = true): Promise<void> {
      const message = encodeTask({ task: name, id, args: [], kwargs: {}, queue: "celery", retries });
      const headers = { ...message.headers, ...(redelivered && { redelivered: true }) };
      await (await app.transport()).publish([{ ...message, headers }]);
      await idle();
    },
    async pending(): Promise<number> {
      const [{ ready, unacked }] = await (await app.transport()).lengths(["celery"]);
      return ready + unacked;
    },
  };
}

const success = (id: string, retries?: number) => encodeSuccess(id, '"before"', 0, { retries });

describe("a redelivered task", () => {
  it("whose result is final is not run again, and its message is gone", async () => {
    const { app, store, redeliver, pending, runs } = await setUp();
    const failure = encodeFailure("b", new RangeError("bad"), 0, { taskModule: "t" });
    await store("a", "SUCCESS", success("a"));
    await store("b", "FAILURE", failure);
    await store(
      "c",
      "REVOKED",
      encodeFailure("c", new Error("revoked"), 0, { taskModule: "t", state: "REVOKED" }),
    );
    for (const id of ["a", "b", "c"]) await redeliver("t.usual", id);
    assert.deepEqual(runs, []);
    assert.equal(await app.AsyncResult("a"), "before");
    assert.equal(await (await app.results()).fetch(["b"]).then(([text]) => text), failure);
    assert.equal(await pending(), 0);
  });

  it("whose result is not final, or not there, or not to be read, is run", async () => {
    const { app, store, redeliver, runs } = await setUp();
    const state = (id: string, status: string) => encodeState({ taskId: id, status, result: null });
    await store("started", "STARTED", state("started", "STARTED"));
    await store("retry", "RETRY", state("retry", "RETRY"));
    await store("mine", "PROGRESS", state("mine", "PROGRESS"));
    await store("broken", "FAILURE", "no JSON");
    for (const id of ["started", "retry", "mine", "broken", "unknown"]) {
      await redeliver("t.usual", id);
      assert.equal(await app.AsyncResult(id), "ran", id);
    }
    assert.equal(runs.length, 5);
  });

  it("is run if only an earlier try of it is known to have ended", async () => {
    const { store, redeliver, runs } = await setUp();
    await store("a", "SUCCESS", success("a"));
    await store("b", "SUCCESS", success("b", 1));
    await redeliver("t.usual", "a", 1);
    await redeliver("t.usual", "b", 2);
    assert.equal(runs.length, 2);
    await redeliver("t.usual", "b", 1);
    await redeliver("t.usual", "b", 0);
    assert.equal(runs.length, 2);
  });

  it("that was retried knows itself by what was stored of its retry", async () => {
    const runs: number[] = [];
    const testing = await startTesting({
      tasks: {
        t: {
          f: task({ bind: true }, (ctx) => {
            runs.push(ctx.retries);
            if (ctx.retries === 0) ctx.retry({ countdown: 0 });
            return "done";
          }),
        },
      },
    });
    open.push(testing);
    const { app, idle } = testing;
    const result = app.sendTask("t.f");
    assert.equal(await result, "done");
    for (const retries of [1, 0]) {
      const message = encodeTask({
        task: "t.f",
        id: result.id,
        args: [],
        kwargs: {},
        queue: "celery",
        retries,
      });
      await (await app.transport()).publish([{
        ...message,
        headers: { ...message.headers, redelivered: true },
      }]);
      await idle();
    }
    assert.deepEqual(runs, [0, 1]);
  });

  it("is run where nobody wants to know, and so is what was not redelivered", async () => {
    const { store, redeliver, runs } = await setUp();
    const id = uid();
    await store(id, "SUCCESS", success(id));
    await redeliver("t.usual", id, 0, false);
    await redeliver("t.never", id);
    await redeliver("t.ignored", id);
    assert.deepEqual(runs, ["usual", "never", "ignored"]);
  });

  it("is run again where the setting says so, unless the task says otherwise", async () => {
    const { store, redeliver, runs } = await setUp({ taskDedupe: false });
    await store("a", "SUCCESS", success("a"));
    await redeliver("t.usual", "a");
    await redeliver("t.always", "a");
    assert.deepEqual(runs, ["usual"]);
  });

  it("that was restored by the broker is known as one", async () => {
    const { app, store, idle, runs } = await setUp();
    await store("a", "SUCCESS", success("a"));
    const message = encodeTask({ task: "t.usual", id: "a", args: [], kwargs: {}, queue: "celery" });
    const { headers } = decodeEnvelope(markRestored(encodeEnvelope(message)).text);
    assert.equal(headers.celeriac_deliveries, 1);
    await (await app.transport()).publish([{ ...message, headers }]);
    await idle();
    assert.deepEqual(runs, []);
  });
});
