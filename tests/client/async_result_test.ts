/** What a caller holds after a call: its value, its state, its error, and the waiting for it. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { App } from "../../runtime/client/app.ts";
import type { AsyncResult } from "../../runtime/client/async_result.ts";
import { ResultTimeoutError } from "../../runtime/client/get_options.ts";
import { TaskError, TaskRevokedError } from "../../runtime/protocol/errors.ts";
import { encodeFailure, encodeState, encodeSuccess } from "../../runtime/protocol/result_meta.ts";
import { FakeClock } from "../fake_clock.ts";
import { freshBroker } from "./inbox.ts";

const NOW = Date.UTC(2026, 4, 1);

describe("the result of a call", () => {
  const clock = new FakeClock(NOW);
  let app: App, result: AsyncResult<number>;

  before(() => {
    app = new App({ broker: freshBroker(), clock });
  });
  after(() => app.disconnect());
  beforeEach(() => {
    result = app.sendTask<number>("math.add", [1, 2]);
  });

  /** Stores a state, as a worker does. */
  async function store(state: string, text: string): Promise<void> {
    await (await app.results()).store([{ id: result.id, state, text, ttl: 500 }]);
  }
  const succeed = (value: string) => store("SUCCESS", encodeSuccess(result.id, value, clock.now()));
  const fail = (error: unknown, state?: "FAILURE" | "REVOKED") =>
    store(state ?? "FAILURE", encodeFailure(result.id, error, clock.now(), { taskModule: "math", state }));

  it("has an id, a key and its task's name at once", () => {
    assert.match(result.id, /^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[\da-f]{4}-[\da-f]{12}$/);
    assert.equal(result.key, `celery-task-meta-${result.id}`);
    assert.equal(result.taskName, "math.add");
  });

  it("is pending until its task has begun", async () => {
    assert.equal(await result.status, "PENDING");
    assert.equal(await result.state, "PENDING");
    assert.equal(await result.info, undefined);
    assert.equal(await result.meta(), null);
    assert.equal(await result.ready(), false);
    assert.equal(await result.successful(), false);
    assert.equal(await result.failed(), false);
    assert.equal(await result.traceback, null);
    assert.equal(await result.dateDone, null);
  });

  it("shows a state of the task's own with its data", async () => {
    const meta = { taskId: result.id, status: "PROGRESS", result: { done: 3, of: 10 } };
    await store("PROGRESS", encodeState(meta));
    assert.equal(await result.status, "PROGRESS");
    assert.deepEqual(await result.info, { done: 3, of: 10 });
    assert.equal(await result.ready(), false);
    await succeed("3");
    assert.equal(await result.status, "SUCCESS");
  });

  it("has its value when the task has run", async () => {
    await succeed("3");
    assert.equal(await result.get(), 3);
    assert.equal(await result, 3);
    assert.equal(await result.status, "SUCCESS");
    assert.equal(await result.ready(), true);
    assert.equal(await result.successful(), true);
    assert.equal(await result.failed(), false);
    assert.equal(await result.info, 3);
    assert.equal((await result.dateDone)?.getTime(), NOW);
    assert.equal((await result.meta())?.taskId, result.id);
  });

  it("is told of a value that is stored later, all that wait for it", async () => {
    const waiting = [result.get(), result.get(), Promise.resolve(result), app.AsyncResult(result.id).get()];
    await new Promise(setImmediate);
    await succeed("3");
    assert.deepEqual(await Promise.all(waiting), [3, 3, 3, 3]);
  });

  it("throws the task's error, or returns it", async () => {
    await fail(new RangeError("too many"));
    for (const waiting of [result.get(), Promise.resolve(result), app.AsyncResult(result.id).get()]) {
      await assert.rejects(waiting, (error) => {
        assert.ok(error instanceof TaskError);
        assert.equal(error.type, "RangeError");
        assert.equal(error.message, "too many");
        assert.equal(String(error), "RangeError: too many");
        assert.equal(error.taskId, result.id);
        assert.match(error.traceback ?? "", /RangeError: too many/);
        return true;
      });
    }
    const error = await result.get({ propagate: false });
    assert.ok(error instanceof TaskError);
    assert.equal(await result.info, error);
    assert.equal(await result.failed(), true);
    assert.equal(await result.successful(), false);
    assert.equal(await result.ready(), true);
    assert.match(await result.traceback ?? "", /RangeError: too many/);
  });

  it("throws when the task was revoked", async () => {
    await fail(new TaskRevokedError("expired"), "REVOKED");
    await assert.rejects(
      result.get(),
      (error) => error instanceof TaskRevokedError && error.message === "expired",
    );
    assert.equal(await result.status, "REVOKED");
    assert.equal(await result.ready(), true);
    assert.equal(await result.failed(), false);
  });

  it("shows its value without waiting: undefined, then the value", async () => {
    assert.equal(result.returnValue, undefined);
    await succeed("3");
    await result;
    assert.equal(result.returnValue, 3);
  });

  it("shows its value after a look began to wait for it", async () => {
    assert.equal(result.returnValue, undefined);
    await new Promise(setImmediate);
    await succeed("3");
    await new Promise(setImmediate);
    assert.equal(result.returnValue, 3);
  });

  it("shows its error without waiting", async () => {
    assert.equal(result.returnValue, undefined);
    await fail(new RangeError("too many"));
    const error = await result.get({ propagate: false });
    assert.ok(error instanceof TaskError);
    assert.equal(error, result.returnValue);
  });

  it("is waited for as long as it was said, by the clock", async () => {
    const waiting = result.get({ timeout: 2 });
    let ended = false;
    waiting.catch(() => ended = true);
    await clock.advance(1999);
    assert.equal(ended, false);
    await clock.advance(1);
    await assert.rejects(waiting, (error) => {
      assert.ok(error instanceof ResultTimeoutError);
      assert.equal(error.name, "TimeoutError");
      assert.equal(error.message, `no result of math.add[${result.id}] after 2 s`);
      return true;
    });
    await succeed("3");
    assert.equal(await result.get({ timeout: 2 }), 3);
    assert.equal(clock.pending, 0);
  });

  it("is waited for without end by a time that no timer can count", async () => {
    for (const timeout of [Infinity, 1e9]) {
      const waiting = result.get({ timeout });
      await clock.advance(1000);
      await succeed("3");
      assert.equal(await waiting, 3);
    }
    assert.equal(clock.pending, 0);
  });

  it("is waited for until a signal says no", async () => {
    const controller = new AbortController();
    const waiting = result.get({ signal: controller.signal, timeout: 60 });
    await new Promise(setImmediate);
    const reason = new Error("enough");
    controller.abort(reason);
    await assert.rejects(waiting, (error) => error === reason);
    await assert.rejects(result.get({ signal: controller.signal }), (error) => error === reason);
    assert.equal(clock.pending, 0);
    await succeed("3");
    assert.equal(await result.get({ signal: new AbortController().signal }), 3);
  });

  it("is gone when it is forgotten", async () => {
    await succeed("3");
    assert.equal(await result, 3);
    await result.forget();
    assert.equal(await result.status, "PENDING");
    assert.equal(await app.AsyncResult(result.id).meta(), null);
  });

  it("rejects whoever waits when what is stored can't be read", async () => {
    const waiting = result.get();
    await store("SUCCESS", "not JSON");
    await assert.rejects(waiting, /result is not JSON/);
  });

  it("rejects whoever waits when the app is disconnected", async () => {
    const other = new App({ broker: freshBroker() });
    const unanswered = other.sendTask("math.add", [1, 2]);
    const waiting = [unanswered.get(), unanswered.get({ timeout: 60 })];
    const rejected = waiting.map((each) =>
      assert.rejects(each, { message: "the app was disconnected while a result was waited for" })
    );
    await unanswered.published;
    await other.disconnect();
    await Promise.all(rejected);
  });
});
