/** Our client calls tasks of a real Celery worker, on one Redis. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { App, ResultTimeoutError, TaskError } from "../../mod.ts";
import { type PythonConsole, startCeleryWorker, startPython } from "../servers/celery.ts";
import { type RedisServer, startRedis } from "../servers/redis.ts";
import type { TestWorker } from "../servers/worker.ts";
import { describeValue } from "./describe.ts";

/** What JavaScript sends, what Python sees of it, and what JavaScript gets back: the same, if not said. */
const values: readonly (readonly [sent: unknown, seen: string, back?: unknown])[] = [
  [null, "None"],
  [undefined, "None", null],
  [true, "True"],
  [0, "0"],
  [-1.5, "-1.5"],
  [1e300, "1e+300"],
  [-0, "-0.0"],
  [NaN, "nan"],
  [Infinity, "inf"],
  [-Infinity, "-inf"],
  [Number.MAX_SAFE_INTEGER, "9007199254740991"],
  [9007199254740993n, "9007199254740993"],
  [-(10n ** 30n) - 7n, "-1000000000000000000000000000007"],
  [5n, "5", 5],
  ["", "''"],
  [
    'h\u00e9llo \u2603 \u{1f600} \0 \x7f " \\ \u2028',
    "'h\u00e9llo \u2603 \u{1f600} \\x00 \\x7f \" \\\\ \\u2028'",
  ],
  ["\ud800 alone, \udc00 too", "'\\ud800 alone, \\udc00 too'"],
  [
    new Date(Date.UTC(2030, 0, 2, 3, 4, 5, 678)),
    "datetime.datetime(2030, 1, 2, 3, 4, 5, 678000, tzinfo=datetime.timezone.utc)",
  ],
  [new Date(0), "datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)"],
  [new Uint8Array(), "b''"],
  [new Uint8Array([0, 97, 254, 255]), "b'\\x00a\\xfe\\xff'"],
  [[1, [2, [3]], []], "[1, [2, [3]], []]"],
  [{ b: [1, { a: null }], "": 10n ** 20n }, "{'b': [1, {'a': None}], '': 100000000000000000000}"],
  [new Map([["a", new Set([1])]]), "{'a': [1]}", { a: [1] }],
];

/** What only Python writes, and what JavaScript gets. */
const made: readonly (readonly [source: string, got: unknown])[] = [
  ["datetime.datetime(2030, 1, 2, 3, 4, 5)", new Date(Date.UTC(2030, 0, 2, 3, 4, 5))],
  [
    "datetime.datetime(2030, 1, 2, 3, 4, 5, 678901, datetime.timezone(datetime.timedelta(hours=2)))",
    new Date(Date.UTC(2030, 0, 2, 1, 4, 5, 678)),
  ],
  ["datetime.date(2030, 1, 2)", "2030-01-02"],
  ["datetime.time(3, 4, 5)", "03:04:05"],
  ["decimal.Decimal('1.50')", "1.50"],
  ["uuid.UUID(int=7)", "00000000-0000-0000-0000-000000000007"],
  ["b'text'", new TextEncoder().encode("text")],
  ["(1, 2)", [1, 2]],
  ["{1: 2, None: 3}", { 1: 2, null: 3 }],
  ["2**64", 2n ** 64n],
  ["[1.0, float('nan'), float('-inf')]", [1, NaN, -Infinity]],
];

describe("Our client calls tasks of Python's", () => {
  let redis: RedisServer;
  let worker: TestWorker;
  let py: PythonConsole;
  let app: App;

  before(async () => {
    redis = await startRedis();
    app = new App({ broker: redis.url });
    [worker, py] = await Promise.all([
      startCeleryWorker({
        url: redis.url,
        queues: ["celery", "other"],
        conf: { result_extended: true, accept_content: ["json", "msgpack"] },
      }),
      startPython({ url: redis.url }),
    ]);
  });

  after(async () => {
    await app?.disconnect();
    await py?.stop();
    await worker?.stop();
    await redis?.stop();
  });

  describe("values", () => {
    for (const [sent, seen, back = sent] of values) {
      it(`sends ${describeValue(sent)}`, async () => {
        assert.deepEqual(await app.sendTask("py.describe", [sent]), [seen]);
        assert.equal(describeValue(await app.sendTask("py.echo", [sent])), describeValue(back));
      });
    }

    for (const [source, got] of made) {
      it(`receives ${source}`, async () => {
        assert.equal(describeValue(await app.sendTask("py.make", [source])), describeValue(got));
      });
    }

    it("sends and receives what is larger than one packet", async () => {
      const text = "x".repeat(3_000_000);
      assert.equal(await app.sendTask("py.echo", [text]), text);
    });

    it("sends arguments by name", async () => {
      assert.deepEqual(await app.sendTask("py.describe", [1], { b: new Uint8Array([1]), a: 2n ** 70n }), [
        "1",
        "a=1180591620717411303424",
        "b=b'\\x01'",
      ]);
      assert.equal(await app.sendTask("py.add", [], { y: 2, x: 40 }), 42);
    });
  });

  describe("errors", () => {
    async function failure(task: string, ...args: unknown[]): Promise<TaskError> {
      try {
        await app.sendTask(task, args).get({ timeout: 30 });
      } catch (error) {
        assert.ok(error instanceof TaskError, String(error));
        return error;
      }
      throw new Error("it did not fail");
    }

    it("arrive as TaskError with type, args, module, traceback and origin", async () => {
      const error = await failure("py.fail", "ValueError", "bad", 42);
      assert.equal(error.name, "ValueError");
      assert.equal(error.type, "ValueError");
      assert.equal(error.message, "bad, 42");
      assert.deepEqual(error.args, ["bad", 42]);
      assert.equal(error.module, "builtins");
      assert.equal(error.remote, "python");
      assert.match(
        error.traceback!,
        /^Traceback \(most recent call last\):\n[^]*in fail\n[^]*ValueError: \('bad', 42\)/,
      );
    });

    it("arrive without a message where Python's has none", async () => {
      const error = await failure("py.fail", "KeyError");
      assert.equal(error.type, "KeyError");
      assert.equal(error.message, "");
      assert.deepEqual(error.args, []);
    });

    it("of Python's own classes name their module", async () => {
      const error = await failure("py.fail", "QuotaError", "too much");
      assert.equal(`${error}`, "QuotaError: too much");
      assert.equal(error.module, "app");
    });

    it("tell of wrong arguments", async () => {
      const error = await failure("py.add", 1);
      assert.equal(`${error}`, "TypeError: add() missing 1 required positional argument: 'y'");
    });

    it("tell of a task that the Python worker does not know", async () => {
      const error = await failure("py.nope");
      assert.equal(error.type, "NotRegistered");
      assert.deepEqual(error.args, ["py.nope"]);
    });
  });

  describe("results", () => {
    it("tell of their task", async () => {
      const result = app.sendTask("py.add", [1], { y: 2 });
      assert.equal(await result, 3);
      const { dateDone, worker, ...meta } = (await app.AsyncResult(result.id).meta())!;
      assert.ok(Math.abs(Date.now() - dateDone!.getTime()) < 5_000, String(dateDone));
      assert.match(worker!, /^celery@/);
      assert.deepEqual(meta, {
        taskId: result.id,
        status: "SUCCESS",
        result: 3,
        traceback: null,
        children: [],
        groupId: null,
        parentId: null,
        name: "py.add",
        args: [1],
        kwargs: { y: 2 },
        retries: 0,
        queue: "celery",
      });
    });

    it("show STARTED and a state of the task's own", async () => {
      for (const [task, state] of [["py.started", "STARTED"], ["py.progress", "PROGRESS"]]) {
        const result = app.sendTask(task, ["gate"]);
        while (await result.status !== state) await py.run("import time; time.sleep(0.005)");
        const info = await result.info as Record<string, unknown>;
        assert.equal(await result.ready(), false);
        await py.run("store.rpush('gate', 'open')");
        if (state === "STARTED") assert.equal(info.pid, worker.pid);
        else assert.deepEqual(info, { current: 3, total: 10 });
        await result.get({ timeout: 30 });
        assert.equal(await result.status, "SUCCESS");
      }
    });

    it("come after retries", async () => {
      assert.equal(await app.sendTask("py.retry", [2]).get({ timeout: 30 }), 2);
      await assert.rejects(app.sendTask("py.retry", [9]).get({ timeout: 30 }), {
        name: "ValueError",
        message: "again",
      });
    });

    it("are forgotten", async () => {
      const result = app.sendTask("py.add", [1, 2]);
      assert.equal(await result, 3);
      await result.forget();
      assert.equal(await py.run("store.exists(key)", { key: result.key }), "0");
      assert.equal(await result.status, "PENDING");
    });

    it("are not stored when nobody wants them", async () => {
      const result = app.sendTask("py.note", ["traces", "ran"], {}, { ignoreResult: true });
      assert.equal(await py.run("store.blpop('traces', 10)[1]"), "b'ran'");
      assert.equal(await app.sendTask("py.add", [1, 1]), 2);
      assert.equal(await py.run("store.exists(key)", { key: result.key }), "0");
    });

    it("are waited for no longer than said", async () => {
      const result = app.sendTask("py.started", ["gate"]);
      await assert.rejects(result.get({ timeout: 0.1 }), ResultTimeoutError);
      await py.run("store.rpush('gate', 'open')");
      assert.equal(await result.get({ timeout: 30 }), "through");
    });
  });

  describe("options", () => {
    it("let a task wait, by a countdown or an ETA", async () => {
      const begun = Date.now();
      const results = [
        app.sendTask("py.echo", ["countdown"], {}, { countdown: 1 }),
        app.sendTask("py.echo", ["eta"], {}, { eta: new Date(begun + 1_000) }),
        app.sendTask("py.echo", ["past"], {}, { eta: new Date(begun - 60_000) }),
      ];
      assert.deepEqual(await Promise.all(results), ["countdown", "eta", "past"]);
      const [countdown, eta, past] = await Promise.all(
        results.map(async (result) => (await result.dateDone)!.getTime() - begun),
      );
      assert.ok(countdown >= 990 && countdown < 20_000, `${countdown}`);
      assert.ok(eta >= 990 && eta < 20_000, `${eta}`);
      assert.ok(past < countdown, `${past}`);
    });

    it("let a task expire", async () => {
      for (const expires of [-1, new Date(Date.now() - 1_000)]) {
        const result = app.sendTask("py.add", [1, 2], {}, { expires });
        await assert.rejects(result.get({ timeout: 30 }), { name: "TaskRevokedError", message: "expired" });
        assert.equal(await result.status, "REVOKED");
      }
      assert.equal(await app.sendTask("py.add", [1, 2], {}, { expires: 60 }), 3);
    });

    it("arrive with the message", async () => {
      const eta = new Date(Date.now() - 5_000);
      const got = await app.sendTask<Record<string, unknown>>("py.request", [], {}, {
        taskId: "an-id-of-mine",
        queue: "other",
        priority: 6,
        headers: { my: { header: [1, "\u2603"] } },
        eta,
        expires: 3600,
        timeLimit: 100,
        softTimeLimit: 50.5,
        shadow: "alias",
        replyTo: "somewhere",
      });
      const { expires, ...rest } = got;
      assert.ok(Math.abs(Date.parse(expires as string) - Date.now() - 3_600_000) < 10_000, String(expires));
      assert.deepEqual(rest, {
        id: "an-id-of-mine",
        root_id: "an-id-of-mine",
        parent_id: null,
        retries: 0,
        eta: eta.toISOString().replace("Z", "000+00:00"),
        timelimit: [100, 50.5],
        ignore_result: false,
        shadow: "alias",
        my: { header: [1, "\u2603"] },
        argsrepr: "()",
        kwargsrepr: "{}",
        reply_to: "somewhere",
        correlation_id: "an-id-of-mine",
        delivery_info: { exchange: "", routing_key: "other", priority: 6, redelivered: false },
        stamps: {},
      });
    });

    it("lead through an exchange that Python has bound to a queue", async () => {
      await py.run(`
from kombu import Exchange, Queue
with app.connection_for_write() as connection:
    for exchange, key in ((Exchange("shop", type="topic"), "orders.#"), (Exchange("desk", type="direct"), "front")):
        Queue("other", exchange, routing_key=key)(connection.default_channel).declare()`);
      for (const [exchange, routingKey] of [["shop", "orders.eu.big"], ["desk", "front"]]) {
        const { delivery_info } = await app.sendTask<Record<string, Record<string, unknown>>>(
          "py.request",
          [],
          {},
          {
            exchange,
            routingKey,
          },
        );
        assert.deepEqual(delivery_info, {
          exchange,
          routing_key: routingKey,
          priority: 0,
          redelivered: false,
        });
      }
    });

    it("compress the message", async () => {
      for (const compression of ["zlib", "gzip", "zstd", "brotli"]) {
        const text = compression.repeat(1_000);
        assert.equal(await app.sendTask("py.echo", [text], {}, { compression }), text, compression);
      }
    });

    it("write it as MessagePack", async () => {
      const sent = [2n ** 63n, -(2n ** 53n), 1.5, new Uint8Array([0, 255]), "h\u00e9", [null, true], {
        a: { b: 1 },
      }];
      assert.deepEqual(
        await app.sendTask("py.describe", sent, { k: 1 }, { serializer: "msgpack", compression: "zstd" }),
        [
          "9223372036854775808",
          "-9007199254740992",
          "1.5",
          "b'\\x00\\xff'",
          "'h\u00e9'",
          "[None, True]",
          "{'a': {'b': 1}}",
          "k=1",
        ],
      );
    });
  });

  it("calls thousands of tasks at once", async () => {
    const results = Array.from({ length: 3_000 }, (_, i) => app.sendTask<number>("py.add", [i, 1]));
    const sums = await Promise.all(results.map((result) => result.get({ timeout: 120 })));
    assert.equal(sums.findIndex((sum, i) => sum !== i + 1), -1);
  });

  it("leaves nothing unacknowledged", async () => {
    assert.equal(await app.sendTask("py.add", [1, 1]), 2);
    while (await py.run("store.hlen('unacked')") !== "0") await py.run("import time; time.sleep(0.005)");
    assert.equal(
      await py.run("store.zcard('unacked_index'), store.llen('celery'), store.llen('other')"),
      "(0, 0, 0)",
    );
  });
});
