import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { resolveSettings } from "../../runtime/config/resolve.ts";
import type { GivenSettings } from "../../runtime/config/settings.ts";
import { taskDefaults } from "../../runtime/isolate/isolate.ts";
import { SoftLimit } from "../../runtime/isolate/soft_limit.ts";
import { TimeLimits } from "../../runtime/isolate/time_limits.ts";
import { encodeEnvelope } from "../../runtime/protocol/envelope.ts";
import { SoftTimeLimitExceeded } from "../../runtime/protocol/errors.ts";
import { decodeTask, encodeTask, type TaskRequest } from "../../runtime/protocol/task_message.ts";
import { FakeClock } from "../fake_clock.ts";

function request(timeLimit?: readonly [number | null, number | null]): TaskRequest {
  const message = encodeTask({ id: "1", task: "m.f", args: [], kwargs: {}, queue: "q", timeLimit });
  return decodeTask(encodeEnvelope(message));
}

function limits(settings: GivenSettings = {}): TimeLimits {
  return new TimeLimits(taskDefaults(resolveSettings({ from: "the test", settings })));
}

describe("the limits of a task", () => {
  it("are none where nothing says any", () => {
    assert.equal(limits().hard(request(), {}), 0);
    assert.equal(limits().soft(request(), {}), 0);
  });

  it("are those of the settings, then of the task, then of the message", () => {
    const all = limits({ taskTimeLimit: 30, taskSoftTimeLimit: 20 });
    const options = { timeLimit: 3, softTimeLimit: 2 };
    assert.deepEqual([all.hard(request(), {}), all.soft(request(), {})], [30, 20]);
    assert.deepEqual([all.hard(request(), options), all.soft(request(), options)], [3, 2]);
    const call = request([0.3, 0.2]);
    assert.deepEqual([all.hard(call, options), all.soft(call, options)], [0.3, 0.2]);
    // Each for itself; 0 in a message says nothing, as in Celery.
    assert.deepEqual([all.hard(request([0, 1]), options), all.soft(request([0, 1]), options)], [3, 1]);
  });

  it("may be none for one task, whatever the settings say", () => {
    assert.equal(limits({ taskTimeLimit: 30 }).hard(request(), { timeLimit: 0 }), 0);
  });

  it("can be set for a task, in the place of those in its options", () => {
    const all = limits({ taskSoftTimeLimit: 20 });
    all.set({ task: "m.f", hard: 5, soft: null });
    assert.deepEqual([all.hard(request(), { timeLimit: 3 }), all.soft(request(), { softTimeLimit: 2 })], [
      5,
      20,
    ]);
    assert.equal(all.hard(request([1, null]), {}), 1);
  });
});

describe("a soft limit", () => {
  function setUp(seconds: number) {
    const clock = new FakeClock();
    const exceeded: number[] = [];
    return { clock, exceeded, limit: new SoftLimit(seconds, clock, (seconds) => exceeded.push(seconds)) };
  }

  it("sets no timer for a run that never looks at its signal", async () => {
    const { clock, exceeded } = setUp(1);
    assert.equal(clock.pending, 0);
    await clock.advance(5000);
    assert.deepEqual(exceeded, []);
  });

  it("aborts the signal when it is over, with a reason that is fit to be thrown", async () => {
    const { clock, exceeded, limit } = setUp(1.5);
    await clock.advance(1000);
    const { signal } = limit;
    await clock.advance(499);
    assert.equal(signal.aborted, false);
    await clock.advance(1);
    assert.equal(signal.aborted, true);
    assert.ok(signal.reason instanceof SoftTimeLimitExceeded);
    assert.equal(signal.reason.message, "the task ran longer than its soft time limit of 1.5 s");
    assert.deepEqual(signal.reason.args, [], "as Celery has it");
    assert.deepEqual(exceeded, [1.5]);
  });

  it("has aborted already for whoever looks too late", async () => {
    const { clock, exceeded, limit } = setUp(1);
    await clock.advance(1001);
    assert.equal(limit.signal.aborted, true);
    assert.deepEqual(exceeded, [1]);
  });

  it("aborts for a loop that lets no timer through but asks anew", () => {
    const { clock, exceeded, limit } = setUp(1);
    assert.equal(limit.signal.aborted, false);
    clock.skip(1000);
    assert.equal(limit.signal.aborted, true);
    assert.equal(limit.signal.aborted, true);
    assert.deepEqual(exceeded, [1]);
    assert.equal(clock.pending, 0);
  });

  it("is over with its run", async () => {
    const { clock, exceeded, limit } = setUp(1);
    const { signal } = limit;
    limit.end();
    assert.equal(clock.pending, 0);
    await clock.advance(5000);
    assert.equal(signal.aborted, false);
    assert.equal(limit.signal, signal);
    assert.deepEqual(exceeded, []);
    const unseen = setUp(1);
    unseen.limit.end();
    await unseen.clock.advance(5000);
    assert.equal(unseen.limit.signal.aborted, false);
  });

  it("that is none sets no timer for its signal", () => {
    const { clock, limit } = setUp(Infinity);
    assert.equal(limit.signal.aborted, false);
    assert.equal(clock.pending, 0);
  });

  it("may be longer than a timer can be set for", async () => {
    const month = 30 * 24 * 3600;
    const { clock, limit } = setUp(month);
    const { signal } = limit;
    await clock.advance(month * 1000 - 1);
    assert.equal(signal.aborted, false);
    await clock.advance(1);
    assert.equal(signal.aborted, true);
  });

  it("is the reason of a run that gave up with an AbortError because of it", async () => {
    const { clock, limit } = setUp(1);
    const { signal } = limit;
    const abort = new DOMException("The operation was aborted", "AbortError");
    const other = new RangeError("bad");
    assert.equal(limit.reasonOf(abort), abort, "it gave up by itself");
    await clock.advance(1000);
    assert.equal(limit.reasonOf(abort), signal.reason);
    assert.equal(limit.reasonOf(other), other);
    assert.equal(limit.reasonOf(undefined), undefined);
  });
});
