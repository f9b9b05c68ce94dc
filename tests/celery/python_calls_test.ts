/** Python calls tasks that run here: a real Celery client, our worker in a process of its own, one Redis. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { App } from "../../mod.ts";
import { type PythonConsole, type PythonError, startPython } from "../servers/celery.ts";
import { type RedisServer, startRedis } from "../servers/redis.ts";
import { run, startWorker, type TestWorker } from "../servers/worker.ts";

/** What Python sends, what JavaScript sees of it, and what Python gets when that is returned: the same, if not said. */
const values: readonly (readonly [sent: string, seen: string, back?: string])[] = [
  ["None", "null"],
  ["True", "true"],
  ["0", "0"],
  ["-1.5", "-1.5"],
  ["1e300", "1e+300"],
  // JavaScript has one kind of number.
  ["1.0", "1", "1"],
  ["-0.0", "-0"],
  ["float('nan')", "NaN"],
  ["float('inf')", "Infinity"],
  ["-float('inf')", "-Infinity"],
  ["2**53 - 1", "9007199254740991"],
  ["2**53", "9007199254740992n"],
  ["-10**30 - 7", "-1000000000000000000000000000007n"],
  ["''", '""'],
  [
    "'h\\u00e9llo \\u2603 \\U0001f600 \\0 \\x7f \" \\\\ \\u2028'",
    '"h\u00e9llo \u2603 \u{1f600} \\u0000 \x7f \\" \\\\ \u2028"',
  ],
  ["'\\ud800 alone, \\udc00 too'", '"\\ud800 alone, \\udc00 too"'],
  ["b''", "Uint8Array()"],
  ["b'text'", "Uint8Array(116 101 120 116)"],
  ["b'\\x00\\xfe\\xff'", "Uint8Array(0 254 255)"],
  ["datetime(2030, 1, 2, 3, 4, 5, 678000, tzinfo=timezone.utc)", "Date(2030-01-02T03:04:05.678Z)"],
  [
    "datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))",
    "Date(2030-01-02T01:04:05.000Z)",
    "datetime.datetime(2030, 1, 2, 1, 4, 5, tzinfo=datetime.timezone.utc)",
  ],
  // Without an offset it is UTC.
  [
    "datetime(2030, 1, 2, 3, 4, 5)",
    "Date(2030-01-02T03:04:05.000Z)",
    "datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)",
  ],
  ["date(2030, 1, 2)", '"2030-01-02"', "'2030-01-02'"],
  ["time(3, 4, 5, 678901)", '"03:04:05.678901"', "'03:04:05.678901'"],
  ["Decimal('1.50')", '"1.50"', "'1.50'"],
  [
    "UUID(int=7)",
    '"00000000-0000-0000-0000-000000000007"',
    "'00000000-0000-0000-0000-000000000007'",
  ],
  ["(1, [2, (3,)])", "[1, [2, [3]]]", "[1, [2, [3]]]"],
  [
    "{'b': [1, {'a': None}], '__proto__': {'x': 1}, '': 10**20}",
    "{b: [1, {a: null}], __proto__: {x: 1}, : 100000000000000000000n}",
  ],
];

/** What only JavaScript writes, and what Python gets. */
const made: readonly (readonly [name: string, got: string])[] = [
  ["date", "datetime.datetime(2030, 1, 2, 3, 4, 5, 678000, tzinfo=datetime.timezone.utc)"],
  ["bytes", "b'\\x00\\x01\\xfe\\xff'"],
  ["bigint", String(2n ** 80n)],
  ["numbers", "[nan, inf, -inf, -0.0, 1.5, 1e+300]"],
  ["undefined", "None"],
  ["map", "{'a': [1, 2]}"],
  ["lone", "'\\ud800 and \u{1f600}'"],
];

describe("Python calls tasks of ours", () => {
  let redis: RedisServer;
  let worker: TestWorker;
  let py: PythonConsole;
  let app: App;

  before(async () => {
    redis = await startRedis();
    const env = { CELERY_TEST_URL: redis.url };
    app = new App({ broker: redis.url });
    [worker, py] = await Promise.all([
      startWorker(["-A", "tests/celery/tasks", "-b", redis.url, "-c", "1", "-Q", "celery,later"], { env }),
      startPython({ url: redis.url }),
    ]);
    await py.run(`
import time as clock
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

names = ("add", "greet", "echo", "describe", "make", "fail", "note", "started", "progress", "request", "silent",
         "spin", "heed")
js = {name: task(f"js.{name}") for name in names}
add, describe, echo = js["add"], js["describe"], js["echo"]

def call(task, *args, **kwargs):
    return task.delay(*args, **kwargs).get(timeout=30)

def until(state, result):
    limit = clock.monotonic() + 30
    while result.state != state:
        assert clock.monotonic() < limit, result.state
        clock.sleep(0.005)
    return result

sent = clock.time()
due = echo.apply_async(("due",), countdown=7)
`);
  });

  after(async () => {
    await app?.disconnect();
    await py?.stop();
    await worker?.stop();
    await redis?.stop();
  });

  /** The newest dead letter's reason, once there are `count` of them. */
  async function deadLetter(queue: string, count: number): Promise<string> {
    const transport = await app.transport();
    for (;;) {
      const letters = await transport.deadLetters(queue, 100);
      if (letters.length >= count) return letters[0].reason;
      await py.run("clock.sleep(0.005)");
    }
  }

  async function deadLetters(queue = "celery"): Promise<number> {
    return (await (await app.transport()).lengths([queue]))[0].dead;
  }

  describe("values", () => {
    it("gets add.delay(2, 2).get()", async () => {
      assert.equal(await py.run("add.delay(2, 2).get(timeout=30)"), "4");
    });

    for (const [sent, seen, back] of values) {
      it(`sends ${sent}`, async () => {
        assert.equal((await py.json<string[]>(`call(describe, ${sent})`))[0], seen);
        assert.equal(await py.run(`call(echo, ${sent})`), back ?? await py.run(sent));
      });
    }

    for (const [name, got] of made) {
      it(`receives what a task returns: ${name}`, async () => {
        assert.equal(await py.run(`call(js["make"], "${name}")`), got);
      });
    }

    it("sends and receives what is larger than one packet", async () => {
      assert.equal(await py.run("call(echo, 'x' * 3_000_000) == 'x' * 3_000_000"), "True");
    });
  });

  describe("arguments by name", () => {
    it("fill a task's named parameters", async () => {
      assert.equal(await py.run("call(add, x=2, y=3), call(add, 2, y=3)"), "(5, 5)");
      assert.equal(
        await py.run("call(js['greet'], 'Ada'), call(js['greet'], greeting='Hi', name='Bo')"),
        "('Hello, Ada!', 'Hi, Bo!')",
      );
    });

    it("arrive as one last object where parameters have no names", async () => {
      assert.deepEqual(await py.json("call(describe, 1, b=2, c=None)"), ["1", "{b: 2, c: null}"]);
    });

    for (
      const [call, message] of [
        ["add, 1", "js.add() missing 1 required positional argument: 'y'"],
        ["add", "js.add() missing 2 required positional arguments: 'x' and 'y'"],
        ["add, 1, 2, 3", "js.add() takes 2 positional arguments but 3 were given"],
        ["add, 1, 2, z=3", "js.add() got an unexpected keyword argument 'z'"],
        ["add, 1, x=2", "js.add() got multiple values for argument 'x'"],
      ]
    ) {
      it(`raise TypeError when they do not fit: ${call}`, async () => {
        await assert.rejects(py.run(`call(${call})`), { name: "TypeError", module: "builtins", message });
      });
    }
  });

  describe("errors", () => {
    it("arrive as Python's own class of that name, with all their args", async () => {
      await assert.rejects(py.run("call(js['fail'], 'TypeError', 'no such thing')"), {
        name: "TypeError",
        module: "builtins",
        args: "('no such thing',)",
      });
      await assert.rejects(py.run("call(js['fail'], 'ValueError', 'bad')"), {
        name: "ValueError",
        module: "builtins",
        args: "('bad', 42)",
      });
    });

    it("arrive as a class that Celery makes, where Python has none of that name", async () => {
      for (const kind of ["RangeError", "QuotaError", "Error"]) {
        await assert.rejects(py.run(`call(js['fail'], '${kind}', 'too much')`), {
          name: kind,
          module: "celery.exceptions",
          args: "('too much',)",
        });
      }
      await assert.rejects(py.run("call(js['fail'], 'text', 'thrown as it is')"), {
        name: "Error",
        args: "('thrown as it is',)",
      });
    });

    it("arrive as a class that the caller has, in a module called like that of the task", async () => {
      assert.equal(
        await py.run(`
import sys, types
class QuotaError(Exception):
    pass
sys.modules["js"] = types.ModuleType("js")
sys.modules["js"].QuotaError = QuotaError
try:
    call(js["fail"], "QuotaError", "too much")
except QuotaError as error:
    caught = error
finally:
    del sys.modules["js"]
caught.args`),
        "('too much',)",
      );
    });

    it("have the stack of where they were thrown, and of their cause", async () => {
      const trace = await py.json<string>(`
result = js["fail"].delay("QuotaError", "too much")
result.get(timeout=30, propagate=False)
result.traceback`);
      assert.match(trace, /^QuotaError: too much\n.*tasks\/js\.ts:\d+/s);
      assert.match(trace, /Caused by: Error: the cause of it\n.*tasks\/js\.ts:\d+/s);
      assert.equal(
        await py.run("result.state, result.failed(), result.successful(), repr(result.info)"),
        `('FAILURE', True, False, "QuotaError('too much')")`,
      );
    });

    it("name the place in a result that can't be sent", async () => {
      for (
        const [name, place] of [["cycle", "$.self[0] refers back"], ["function", "$.inner[0] is a function"]]
      ) {
        await assert.rejects(py.run(`call(js["make"], "${name}")`), (error: PythonError) => {
          assert.equal(error.name, "UnserializableError");
          assert.ok(error.message.startsWith(place), error.message);
          return true;
        });
      }
    });

    it("tell of a task that is not registered", async () => {
      await assert.rejects(py.run("call(task('js.nope'))"), {
        name: "NotRegistered",
        module: "celery.exceptions",
        args: "('js.nope',)",
      });
    });
  });

  describe("many calls", () => {
    it("come back from a group in its order", async () => {
      assert.equal(
        await py.run(
          "group(add.s(i, i) for i in range(200))().get(timeout=30) == [2 * i for i in range(200)]",
        ),
        "True",
      );
    });

    it("come back from a group whose parts fail", async () => {
      assert.equal(
        await py.run(`
parts = group(add.s(1, 1), js["fail"].s("ValueError", "bad"), add.s(2, 2))()
[repr(part) for part in parts.get(timeout=30, propagate=False)], parts.failed(), parts.completed_count()`),
        `(['2', "ValueError('bad', 42)", '4'], True, 2)`,
      );
    });

    it("come back from 500 at once", async () => {
      assert.equal(
        await py.run(`
results = [echo.delay(i) for i in range(500)]
[result.get(timeout=30) for result in results] == list(range(500))`),
        "True",
      );
    });
  });

  describe("results", () => {
    it("tell when they were done, and are there for a second look", async () => {
      assert.equal(
        await py.run(`
begun = datetime.now(timezone.utc)
result = add.delay(1, 2)
result.get(timeout=30)
again = AsyncResult(result.id)
done = again.date_done
-1 < (done - begun).total_seconds() < 30, again.state, again.result, again.successful(), again.traceback, again.children`),
        "(True, 'SUCCESS', 3, True, None, [])",
      );
    });

    it("are forgotten", async () => {
      assert.equal(
        await py.run(`
result = add.delay(1, 2)
result.get(timeout=30)
kept = store.exists("celery-task-meta-" + result.id)
result.forget()
kept, store.exists("celery-task-meta-" + result.id)`),
        "(1, 0)",
      );
    });

    it("expire after a day", async () => {
      const ttl = await py.json<number>(`
result = add.delay(1, 2)
result.get(timeout=30)
store.ttl("celery-task-meta-" + result.id)`);
      assert.ok(ttl > 86_390 && ttl <= 86_400, `${ttl}`);
    });

    it("are not stored when nobody wants them", async () => {
      assert.equal(
        await py.run(`
called = js["note"].apply_async(("traces", "ran"), ignore_result=True)
marked = js["silent"].delay("traces")
store.blpop("traces", 10), store.blpop("traces", 10)
call(add, 1, 1)
[store.exists("celery-task-meta-" + result.id) for result in (called, marked)]`),
        "[0, 0]",
      );
    });

    it("show STARTED, with who runs it, for a task that is tracked", async () => {
      assert.equal(
        await py.run(`
import socket
result = until("STARTED", js["started"].delay("gate"))
info = result.info
store.rpush("gate", "open")
info["pid"], info["hostname"] == "celery@" + socket.gethostname(), result.get(timeout=30)`),
        `(${worker.pid}, True, 'through')`,
      );
    });

    it("show a state of the task's own with its data", async () => {
      assert.equal(
        await py.run(`
result = until("PROGRESS", js["progress"].delay("gate"))
info, ready = result.info, result.ready()
store.rpush("gate", "open")
info, ready, result.get(timeout=30), result.state`),
        "({'current': 3, 'total': 10}, False, 'done', 'SUCCESS')",
      );
    });

    it("tell of their task, where they are extended", async () => {
      await py.run(`
good = add.apply_async((1,), {"y": 2}, queue="extended")
bad = js["fail"].apply_async(("ValueError", "bad"), queue="extended")`);
      const config = ["--config", "tests/celery/extended.json"];
      const args = [
        "-A",
        "tests/celery/tasks",
        "-b",
        redis.url,
        "-Q",
        "extended",
        "-n",
        "other@test",
        ...config,
      ];
      const { code, stderr } = await run(["worker", ...args, "--drain"], {
        env: { CELERY_TEST_URL: redis.url },
      });
      assert.equal(code, 0, stderr);
      assert.equal(
        await py.run(
          `[(r.state, r.name, r.args, r.kwargs, r.worker, r.retries, r.queue) for r in (good, bad)]`,
        ),
        "[('SUCCESS', 'js.add', [1], {'y': 2}, 'other@test', 0, 'extended'), " +
          "('FAILURE', 'js.fail', ['ValueError', 'bad'], {}, 'other@test', 0, 'extended')]",
      );
    });

    it("wake up who waits for them, without polling", async () => {
      assert.equal(
        await py.run(`
import threading
result = js["started"].delay("gate")
threading.Timer(0.2, lambda: store.rpush("gate", "open")).start()
begun = clock.monotonic()
result.get(timeout=30, interval=60), clock.monotonic() - begun < 20`),
        "('through', True)",
      );
    });
  });

  describe("time", () => {
    it("passes before a task with a countdown or an ETA starts", async () => {
      assert.equal(
        await py.run(`
offset = timezone(timedelta(hours=-5))
begun = clock.time()
results = [
    echo.apply_async(("countdown",), countdown=1),
    echo.apply_async(("eta",), eta=datetime.now(offset) + timedelta(seconds=1)),
    echo.apply_async(("past",), eta=datetime.now(offset) - timedelta(seconds=60)),
]
values = [result.get(timeout=30) for result in results]
waited = [result.date_done.timestamp() - begun for result in results]
values, [0.99 <= seconds < 20 for seconds in waited[:2]], waited[2] < waited[0]`),
        "(['countdown', 'eta', 'past'], [True, True], True)",
      );
    });

    it("is kept by the broker when it is far away", async () => {
      const transport = await app.transport();
      await py.run("echo.apply_async(('far',), countdown=3600, queue='later')");
      for (;;) {
        const [{ ready, delayed, unacked }] = await transport.lengths(["later"]);
        if (delayed === 0) continue;
        assert.deepEqual([ready, delayed, unacked], [0, 1, 0]);
        break;
      }
      assert.equal(await transport.purge("later"), 1);
    });

    it("runs out: the task is REVOKED", async () => {
      const before = await deadLetters();
      for (const expires of ["-1", "datetime.now(timezone(timedelta(hours=3))) - timedelta(seconds=1)"]) {
        await assert.rejects(
          py.run(`
result = add.apply_async((1, 2), expires=${expires})
result.get(timeout=30)`),
          { name: "TaskRevokedError", args: "('expired',)" },
        );
        assert.equal(await py.run("result.state"), "'REVOKED'");
      }
      assert.equal(await py.run("add.apply_async((1, 2), expires=60).get(timeout=30)"), "3");
      assert.equal(await deadLetters(), before);
    });
  });

  describe("time limits", () => {
    it("of a call end a task that computes without end", async () => {
      assert.equal(
        await py.run(`
result = js["spin"].apply_async(time_limit=0.3)
try:
    result.get(timeout=30)
except Exception as raised:
    from billiard.exceptions import TimeLimitExceeded
    caught = raised
type(caught) is TimeLimitExceeded, caught.args, result.state, result.traceback`),
        "(True, (0.3,), 'FAILURE', None)",
      );
      assert.equal(await py.run("add.delay(2, 2).get(timeout=30)"), "4");
    });

    it("reach the task by its signal, where they are soft", async () => {
      assert.equal(
        await py.run(`
result = js["heed"].apply_async(soft_time_limit=0.1)
try:
    result.get(timeout=30)
except Exception as raised:
    from billiard.exceptions import SoftTimeLimitExceeded
    caught = raised
type(caught) is SoftTimeLimitExceeded, caught.args, result.state`),
        "(True, (), 'FAILURE')",
      );
    });
  });

  describe("the message", () => {
    it("tells the task who called it, and how", async () => {
      const got = await py.json<Record<string, unknown>>(`
result = js["request"].apply_async(
    headers={"my": {"deep": [1]}}, priority=3, task_id="an-id-of-mine", root_id="a-root", parent_id="a-parent", group_id="a-group",
    eta=datetime(2020, 1, 2, 3, 4, 5, tzinfo=timezone.utc), expires=datetime(2100, 1, 2, tzinfo=timezone.utc),
)
value = result.get(timeout=30)
value["eta"], value["expires"] = value["eta"].isoformat(), value["expires"].isoformat()
value`);
      assert.deepEqual(got, {
        id: "an-id-of-mine",
        name: "js.request",
        kwargs: {},
        retries: 0,
        eta: "2020-01-02T03:04:05+00:00",
        expires: "2100-01-02T00:00:00+00:00",
        headers: { my: { deep: [1] } },
        rootId: "a-root",
        parentId: "a-parent",
        group: "a-group",
        correlationId: "an-id-of-mine",
        redelivered: false,
        delivery: { exchange: "", routingKey: "celery", priority: 3, redelivered: false },
      });
      assert.equal(
        await py.run(`
meta = result.backend.get_task_meta(result.id, cache=False)
meta["parent_id"], meta["group_id"]`),
        "('a-parent', 'a-group')",
      );
    });

    it("may be compressed", async () => {
      for (const method of ["zlib", "gzip", "zstd", "brotli"]) {
        assert.equal(
          await py.run(
            `echo.apply_async(('${method} ' * 1000,), compression='${method}').get(timeout=30) == '${method} ' * 1000`,
          ),
          "True",
          method,
        );
      }
    });

    it("may be MessagePack", async () => {
      assert.deepEqual(
        await py.json(`
describe.apply_async(
    (2**63, -2**53, 1.5, b"\\x00\\xff", "h\\u00e9", [None, True], {"a": {"b": 1}}), serializer="msgpack", compression="zlib",
).get(timeout=30)`),
        [
          "9223372036854775808n",
          "-9007199254740992n",
          "1.5",
          "Uint8Array(0 255)",
          '"h\u00e9"',
          "[null, true]",
          "{a: {b: 1}}",
        ],
      );
    });

    it("becomes a dead letter, and the rest goes on, when it holds pickle or YAML", async () => {
      let count = await deadLetters();
      for (const serializer of ["pickle", "yaml"]) {
        await py.run(`echo.apply_async(("evil",), serializer="${serializer}")`);
        assert.match(await deadLetter("celery", ++count), /content type/);
        assert.equal(await py.run("call(add, 1, 1)"), "2");
      }
    });

    it("becomes a dead letter when it is compressed in a way that is not to be had here", async () => {
      const count = await deadLetters();
      await py.run(`echo.apply_async(("x",), compression="bzip2")`);
      assert.match(await deadLetter("celery", count + 1), /compression/);
    });

    it("is taken in the order of priorities, 0 first", async () => {
      await py.run(`
for priority in (9, 4, 6, 0, 3, 9, 1):
    js["note"].apply_async(("order", str(priority)), priority=priority, queue="priorities")`);
      const args = [
        "worker",
        "-A",
        "tests/celery/tasks",
        "-b",
        redis.url,
        "-Q",
        "priorities",
        "-c",
        "1",
        "--drain",
      ];
      const { code, stderr } = await run(args, { env: { CELERY_TEST_URL: redis.url } });
      assert.equal(code, 0, stderr);
      assert.equal(
        await py.run(`[text.decode() for text in store.lrange("order", 0, -1)]`),
        "['0', '1', '4', '3', '6', '9', '9']",
      );
    });
  });

  describe("other kinds of messages", () => {
    it("are those of protocol 1", async () => {
      const old = await startPython({ url: redis.url, conf: { task_protocol: 1 } });
      try {
        assert.equal(await old.run("task('js.add').delay(2, y=3).get(timeout=30)"), "5");
        assert.equal(
          await old.run(
            "task('js.echo').apply_async(('z' * 500,), compression='zlib').get(timeout=30) == 'z' * 500",
          ),
          "True",
        );
        await assert.rejects(old.run("task('js.fail').delay('ValueError', 'bad').get(timeout=30)"), {
          name: "ValueError",
        });
        await assert.rejects(old.run("task('js.add').apply_async((1, 2), expires=-1).get(timeout=30)"), {
          name: "TaskRevokedError",
        });
        assert.equal(
          await old.run(`
result = task("js.echo").apply_async(("later",), countdown=0.5)
result.get(timeout=30)`),
          "'later'",
        );
      } finally {
        await old.stop();
      }
    });

    it("are bare ones, on a list that only we read", async () => {
      assert.equal(
        await py.run(`
import json
store.lpush("celery", json.dumps({"task": "js.add", "id": 123123, "args": [2, 3]}))
store.lpush("celery", json.dumps({"task": "js.greet", "id": "bare", "kwargs": {"name": "Ada"}}))
AsyncResult("123123").get(timeout=30), AsyncResult("bare").get(timeout=30)`),
        "(5, 'Hello, Ada!')",
      );
    });

    it("are none at all: a list of anything is kept as dead letters, byte for byte", async () => {
      const count = await deadLetters();
      await py.run(`
junk = [b"not json", b"[]", b"{}", b"\\xff\\xfe", b'{"task": 5}', b'{"body": "%%%"}', b"{" * 5000]
store.lpush("celery", *junk)
call(add, 1, 1)`);
      await deadLetter("celery", count + 7);
      const letters = await (await app.transport()).deadLetters("celery", 7);
      const sent = ["not json", "[]", "{}", "\xff\xfe", '{"task": 5}', '{"body": "%%%"}', "{".repeat(5000)];
      assert.deepEqual(letters.map(({ body }) => Buffer.from(body).toString("latin1")).sort(), sent.sort());
    });
  });

  it("a task whose time was 7 s away when these tests began has run when it came", async () => {
    assert.equal(await py.run("due.get(timeout=30)"), "'due'");
    const waited = await py.json<number>("due.date_done.timestamp() - sent");
    assert.ok(waited >= 6.99 && waited < 30, `${waited}`);
  });

  it("leaves nothing unacknowledged", async () => {
    assert.equal(
      await py.run(
        `call(add, 1, 1), store.hlen("unacked"), store.zcard("unacked_index"), store.llen("celery")`,
      ),
      "(2, 0, 0, 0)",
    );
  });
});
