/** When a task is retried, how often, and by which message: plans alone, no task is run. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MaxRetriesExceededError } from "../../runtime/protocol/errors.ts";
import { UnserializableError } from "../../runtime/protocol/plain_value.ts";
import { isOfKind } from "../../runtime/isolate/error_kind.ts";
import { backoff, planRetry, type RetryOptions } from "../../runtime/isolate/retry.ts";
import { retryMessage } from "../../runtime/isolate/retry_message.ts";
import type { RegisteredTask, TaskOptions } from "../../runtime/isolate/task_definition.ts";
import { decodeEnvelope, encodeEnvelope, markRestored } from "../../runtime/protocol/envelope.ts";
import { decodeTask } from "../../runtime/protocol/task_message.ts";
import { envelopeAround, envelopeOf, envelopesOf, seededRandom } from "../protocol/samples.ts";

const P1 = "redis_messages_protocol1";
const P2 = "redis_messages_protocol2";
const NEWEST = "redis_messages_newest";
const REFUSED = new Set(["pickle", "yaml", "compression_bzip2", "compression_lzma"]);
const NOW = Date.UTC(2030, 0, 1);
const HEADERS = { lang: "py", task: "t.f", id: "id-1", retries: 0 };

const taskOf = (options: TaskOptions = {}): RegisteredTask => ({
  name: "t.f",
  module: "t.ts",
  run: () => {},
  options,
});

/** The retry of a task whose message this is. */
function plan(text: string, options: RetryOptions = {}, policy: TaskOptions = {}) {
  const { error, message } = planRetry(text, decodeTask(text), taskOf(policy), options, NOW);
  return { error, message, request: decodeTask(encodeEnvelope(message)) };
}

/** An envelope that was retried so often before. */
const tried = (retries: number, headers: object = {}, body: unknown = [[1, 2], { a: 3 }, {}]) =>
  envelopeAround(body, { ...HEADERS, retries, ...headers });

describe("the message of a retry", () => {
  for (const capture of [P1, P2, NEWEST]) {
    for (const { name, text } of envelopesOf(capture)) {
      if (REFUSED.has(name)) continue;
      it(`keeps all that ${capture}, ${name} says, but for its time and count`, () => {
        const request = decodeTask(text);
        const message = retryMessage(text, request, { eta: NOW });
        const again = encodeEnvelope(message);
        assert.deepEqual(decodeTask(again), {
          ...request,
          eta: NOW,
          retries: request.retries + 1,
          protocol: 2,
        });
        if (capture === P1) return;
        const [before, after] = [decodeEnvelope(text), decodeEnvelope(again)];
        assert.deepEqual(after.body, before.body, "byte for byte");
        assert.deepEqual(after.headers, {
          ...before.headers,
          eta: "2030-01-01T00:00:00.000000+00:00",
          retries: request.retries + 1,
        });
      });
    }
  }

  it("of a bare message goes back to where that came from", () => {
    const text = `{"task": "t.f", "id": "id-1", "args": [1.0, 12345678901234567890]}`;
    const { request, message } = plan(text);
    assert.deepEqual([request.id, request.task, request.retries], ["id-1", "t.f", 1]);
    assert.deepEqual(request.args, [1, 12345678901234567890n]);
    // No place: the worker puts in the queue that it was received from.
    assert.deepEqual([message.exchange, message.routingKey], ["", ""]);
  });

  it("writes other arguments as the first ones were written", () => {
    for (const name of ["retry_policy_serializer_msgpack", "compression_zlib"]) {
      const text = envelopeOf(P2, name);
      const before = decodeEnvelope(text);
      const { message, request } = plan(text, { args: [[1], { deep: 2 }], kwargs: {} });
      assert.deepEqual(request.args, [[1], { deep: 2 }]);
      assert.equal(message.contentType, before.contentType);
      assert.equal(message.headers.compression, before.headers.compression);
    }
  });

  it("is not marked by what befell the first one, unless that may be a copy itself", () => {
    const own = { "x-death": [1], "x-delivery-count": 2, celeriac_deliveries: 2, mine: 1 };
    const fresh = plan(tried(0, own)).message.headers;
    assert.deepEqual(Object.keys(fresh).filter((name) => name in own), ["mine"]);
    assert.equal("redelivered" in fresh, false);
    const restored = plan(markRestored(tried(0)).text);
    assert.deepEqual([restored.request.redelivered, restored.request.deliveries], [true, 0]);
  });

  it("goes where it is told, else where the first one went", () => {
    const delivery_info = { exchange: "mail", routing_key: "a.b" };
    const fields = { properties: { delivery_info, priority: 3, body_encoding: "base64" } };
    const text = envelopeAround([[], {}, {}], HEADERS, fields);
    const place = (
      { exchange, routingKey, priority }: ReturnType<typeof plan>["message"],
    ) => [exchange, routingKey, priority];
    assert.deepEqual(place(plan(text).message), ["mail", "a.b", 3]);
    assert.deepEqual(place(plan(text, { queue: "slow", priority: 9 }).message), ["", "slow", 9]);
    assert.deepEqual(place(plan(text, { routingKey: "a.c" }).message), ["mail", "a.c", 3]);
  });

  it("takes limits, expiry and headers along, or other ones", () => {
    const text = tried(1, { expires: "2030-01-01T01:00:00+00:00", timelimit: [60, 50], mine: 1 });
    const kept = plan(text).request;
    assert.deepEqual([kept.expires, kept.timeLimit, kept.headers], [NOW + 3_600_000, [60, 50], { mine: 1 }]);
    const changed = plan(text, { expires: 10, softTimeLimit: 5, headers: { more: "x" } }).request;
    assert.deepEqual(
      [changed.expires, changed.timeLimit, changed.headers],
      [NOW + 10_000, [60, 5], { mine: 1, more: "x" }],
    );
  });

  it("that can't be written fails where it is asked for", () => {
    assert.throws(() => plan(tried(0), { args: [() => 1] }), UnserializableError);
    assert.throws(() => plan(tried(0), { headers: { no: () => 1 } }), UnserializableError);
    assert.throws(() => plan(tried(0), { countdown: NaN }), RangeError);
    assert.throws(() => plan(tried(0), { eta: new Date(NaN) }), RangeError);
    assert.throws(() => plan(tried(0), { priority: 10 }), RangeError);
  });

  it("gives a named parameter its new value, however it had the old one", () => {
    const params = ["x", "y", "a"];
    const args = (options: RetryOptions) => {
      const { request } = plan(tried(0), options, { params });
      return [request.args, request.kwargs];
    };
    assert.deepEqual(args({ args: [7] }), [[7], { a: 3 }]);
    assert.deepEqual(args({ args: [7, 8, 9] }), [[7, 8, 9], {}]);
    assert.deepEqual(args({ kwargs: { y: 8, a: 4 } }), [[1, 8], { a: 4 }]);
    assert.deepEqual(args({ args: [7], kwargs: { a: 4 } }), [[7], { a: 4 }]);
  });
});

describe("the time of a retry", () => {
  const wait = (options: RetryOptions, policy: TaskOptions = {}) => {
    const { eta } = plan(tried(0), options, policy).request;
    return eta === null ? 0 : (eta - NOW) / 1000;
  };

  it("is 180 seconds away, or what task or call say", () => {
    assert.equal(wait({}), 180);
    assert.equal(wait({}, { defaultRetryDelay: 5 }), 5);
    assert.equal(wait({ countdown: 7 }, { defaultRetryDelay: 5 }), 7);
    assert.equal(wait({ countdown: 0 }), 0);
    assert.equal(wait({ countdown: 7, eta: new Date(NOW + 9_000) }), 9);
    assert.equal(wait({ eta: new Date(NOW - 9_000) }), 0);
  });

  it("says so in words", () => {
    const why = new RangeError("busy");
    assert.equal(
      plan(tried(0), { countdown: 1.5, exc: why }).error.message,
      "retry in 1.5s: RangeError: busy",
    );
    assert.equal(plan(tried(0), { countdown: 0 }).error.message, "retry at once");
    assert.equal(plan(tried(0), { exc: why }).error.cause, why);
  });

  it("doubles with retryBackoff, up to the longest, with jitter below", () => {
    const none = () => 0.999999;
    const waits = (policy: TaskOptions, random = none) =>
      [0, 1, 2, 3, 4, 5, 10, 2_000].map((retries) => backoff(policy, retries, random));
    assert.deepEqual(waits({}), new Array(8).fill(undefined));
    assert.deepEqual(waits({ retryBackoff: true }), [1, 2, 4, 8, 16, 32, 600, 600]);
    assert.deepEqual(waits({ retryBackoff: 5, retryBackoffMax: 50 }), [5, 10, 20, 40, 50, 50, 50, 50]);
    // As Celery counts: whole seconds, one at least.
    assert.deepEqual(waits({ retryBackoff: 2.9, retryJitter: false }).slice(0, 3), [2, 4, 8]);
    assert.deepEqual(waits({ retryBackoff: 0.1, retryJitter: false }).slice(0, 3), [1, 2, 4]);
    assert.deepEqual(waits({ retryBackoff: true }, () => 0), new Array(8).fill(0));
    const random = seededRandom(1);
    const seen = Array.from({ length: 500 }, () => backoff({ retryBackoff: true }, 2, random));
    assert.deepEqual([...new Set(seen)].sort(), [0, 1, 2, 3, 4]);
  });
});

describe("the number of retries", () => {
  const most = (policy: TaskOptions, options: RetryOptions = {}) => {
    for (let retries = 0; retries < 50; retries++) {
      try {
        plan(tried(retries), options, policy);
      } catch {
        return retries;
      }
    }
    return Infinity;
  };

  it("is three, or what task or call say", () => {
    assert.equal(most({}), 3);
    assert.equal(most({ maxRetries: 5 }), 5);
    assert.equal(most({ maxRetries: 5 }, { maxRetries: 1 }), 1);
    assert.equal(most({ maxRetries: 0 }), 0);
    assert.equal(most({ maxRetries: null }), Infinity);
    assert.equal(most({ maxRetries: 5 }, { maxRetries: null }), Infinity);
  });

  it("over, it throws the error that was given, or says how often it was tried", () => {
    const exc = new RangeError("busy");
    assert.throws(() => plan(tried(3), { exc }), (error) => error === exc);
    assert.throws(() => plan(tried(3)), (error: Error) => {
      assert.ok(error instanceof MaxRetriesExceededError);
      assert.equal(error.name, "MaxRetriesExceededError");
      assert.equal(error.message, "t.f[id-1] was retried 3 times already, as often as it may be");
      return true;
    });
  });
});

describe("a kind of error", () => {
  class NetworkError extends Error {
    override readonly name: string = "NetworkError";
  }
  class Unreachable extends NetworkError {
    override readonly name = "Unreachable";
  }

  it("is a class with all that are derived from it, or a name", () => {
    assert.ok(isOfKind(new Unreachable(), NetworkError));
    assert.ok(!isOfKind(new NetworkError(), Unreachable));
    for (const name of ["Unreachable", "NetworkError", "Error"]) {
      assert.ok(isOfKind(new Unreachable(), name), name);
    }
    assert.ok(isOfKind(Object.assign(new Error(), { name: "Called" }), "Called"));
    assert.ok(!isOfKind(new NetworkError(), "Unreachable"));
    assert.ok(!isOfKind("NetworkError", "NetworkError"));
    assert.ok(!isOfKind(undefined, Error));
  });
});
