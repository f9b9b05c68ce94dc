import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  MaxRetriesExceededError,
  NotRegistered,
  SoftTimeLimitExceeded,
  TaskError,
  TaskRevokedError,
  TimeLimitExceeded,
  WorkerLostError,
} from "../../runtime/protocol/errors.ts";
import {
  decodeResult,
  encodeFailure,
  encodeState,
  encodeSuccess,
  EXCEPTION_STATES,
  isReady,
  READY_STATES,
} from "../../runtime/protocol/result_meta.ts";
import { samplesOf } from "./samples.ts";

const NOW = Date.UTC(2026, 10, 21, 5, 56, 50, 934);
const options = { taskModule: "pay" };

/** All result texts that were captured, with the name of what wrote each. */
function captured(): { name: string; text: string }[] {
  const stored = samplesOf("redis_results").flatMap((sample) =>
    [
      ...Object.entries(sample.keys as Record<string, string>),
      ...(sample.published as { channel: string; data: string }[]).map((
        { channel, data },
      ) => [channel, data]),
    ].filter(([key]) => key.startsWith("celery-task-meta-")).map(([, text]) => ({ name: sample.name, text }))
  );
  const values = ["redis_results_extended", "redis_results_newest"].flatMap((file) =>
    samplesOf(file).map((sample) => ({ name: `${file} ${sample.name}`, text: sample.value as string }))
  );
  const rpc = samplesOf("amqp_rpc_results").map((sample) => ({
    name: `rpc ${sample.name}`,
    text: sample.body as string,
  }));
  return [...stored, ...values, ...rpc];
}

describe("reading Celery's results", () => {
  for (const { name, text } of captured()) {
    const raw = JSON.parse(text.replace("NaN", "null"));
    it(`reads ${name}, ${raw.status}`, () => {
      const meta = decodeResult(text);
      assert.equal(meta.taskId, raw.task_id);
      assert.equal(meta.status, raw.status);
      assert.equal(meta.traceback, raw.traceback);
      assert.deepEqual(meta.children, raw.children);
      assert.equal(
        meta.dateDone?.getTime() ?? null,
        raw.date_done ? Date.parse(raw.date_done.slice(0, 23) + "Z") : null,
      );
      assert.equal(meta.groupId, raw.group_id ?? null);
      assert.equal(meta.parentId, raw.parent_id ?? null);
      for (const key of ["name", "args", "kwargs", "worker", "retries", "queue"] as const) {
        assert.deepEqual(meta[key], raw[key] ?? null);
      }
      if (EXCEPTION_STATES.has(raw.status)) {
        assert.ok(meta.result instanceof TaskError);
        assert.equal(meta.result.type, raw.result.exc_type);
        assert.equal(meta.result.name, raw.result.exc_type);
        assert.deepEqual(meta.result.args, raw.result.exc_message);
        assert.equal(meta.result.module, raw.result.exc_module);
        assert.equal(meta.result.traceback, raw.traceback);
        assert.equal(meta.result.remote, "python");
        assert.equal(meta.result.taskId, raw.task_id);
      } else if (!name.endsWith("types")) {
        assert.deepEqual(meta.result, raw.result);
      }
    });
  }

  const find = (name: string, status: string) =>
    decodeResult(captured().find((one) => one.name === name && one.text.includes(`"${status}"`))!.text)
      .result;

  it("gives known errors their own class", () => {
    assert.ok(find("unregistered", "FAILURE") instanceof NotRegistered);
    assert.ok(find("expired", "REVOKED") instanceof TaskRevokedError);
    assert.ok(find("time_limit", "FAILURE") instanceof TimeLimitExceeded);
    assert.ok(find("soft_time_limit", "FAILURE") instanceof SoftTimeLimitExceeded);
    assert.equal((find("expired", "REVOKED") as Error).message, "expired");
    assert.equal((find("terminated", "REVOKED") as Error).message, "terminated");
    assert.equal(String(find("failure", "FAILURE")), "ValueError: bad, 42");
  });

  it("reads every type that Python's JSON knows", () => {
    assert.deepEqual(find("redis_results_newest types", "SUCCESS"), [
      new Date("2030-01-02T03:04:05.678Z"),
      "2030-01-02",
      "03:04:05",
      "1.50",
      "00000000-0000-0000-0000-000000000007",
      new TextEncoder().encode("abc"),
      new Uint8Array([255]),
      NaN,
      2n ** 70n,
      -0,
    ]);
  });

  for (
    const text of [
      "",
      "{",
      "[]",
      "null",
      "{}",
      '{"status": "SUCCESS"}',
      '{"task_id": "x"}',
      '{"status": 1, "task_id": "x"}',
      '{"status": "S", "task_id": "x", "date_done": "soon"}',
    ]
  ) {
    it(`refuses ${text || "nothing"}`, () =>
      assert.throws(() => decodeResult(text), { name: "BadMessageError" }));
  }

  it("refuses every sample cut at any place", () => {
    for (const { text } of captured()) {
      for (let end = 0; end < text.length; end += 1 + (end * 7) % 11) {
        assert.throws(() => decodeResult(text.slice(0, end)), { name: "BadMessageError" });
      }
    }
  });

  it("reads an error in any shape that others may store", () => {
    const read = (result: unknown) =>
      decodeResult(JSON.stringify({ status: "FAILURE", result, task_id: "x" })).result as TaskError;
    assert.deepEqual(read("just text").args, ["just text"]);
    assert.equal(read(null).message, "");
    assert.deepEqual(read({ exc_type: "E", exc_message: "one" }).args, ["one"]);
    assert.equal(read({ exc_type: "E", exc_message: [{ a: 1 }, [2], null] }).message, '{"a":1}, [2], null');
    assert.equal(read({ exc_type: "constructor", exc_module: "__proto__" }).type, "constructor");
  });
});

describe("writing results", () => {
  const plain = (text: string) => JSON.parse(text.replace(/, "exc_lang": "js"/, ""));

  it("writes a SUCCESS byte for byte as Celery does, but for finer time than it has", () => {
    const sample = samplesOf("redis_results").find(({ name }) => name === "success")!;
    const text = Object.values(sample.keys as Record<string, string>)[0];
    const { task_id, date_done } = JSON.parse(text);
    assert.equal(
      encodeSuccess(task_id, "3", NOW),
      text.replace(date_done, "2026-11-21T05:56:50.934000+00:00"),
    );
  });

  it("writes extended results, in Celery's order", () => {
    const text = samplesOf("redis_results_extended").find(({ name }) => name === "success")!.value as string;
    const { task_id, date_done } = JSON.parse(text);
    const written = encodeSuccess(task_id, "3", NOW, {
      name: "tasks.add",
      args: [1],
      kwargs: { y: 2 },
      worker: "sample@host",
      queue: "celery",
    });
    const expected = JSON.parse(text.replace(date_done, "2026-11-21T05:56:50.934000+00:00"));
    assert.equal(JSON.stringify(JSON.parse(written)), JSON.stringify(expected));
  });

  it("writes its place in a workflow, in Celery's order", () => {
    const samples = samplesOf("redis_results").flatMap(({ keys }) =>
      Object.values(keys as Record<string, string>)
    )
      .filter((text) =>
        text.includes('"children": [[') || text.includes("group_id") || text.includes("parent_id")
      );
    const texts = samples.filter((text) => text.includes('"status": "SUCCESS"'));
    assert.ok(texts.length >= 4);
    for (const text of texts) {
      const raw = JSON.parse(text);
      const written = encodeSuccess(raw.task_id, JSON.stringify(raw.result), NOW, {
        children: raw.children,
        groupId: raw.group_id,
        parentId: raw.parent_id,
      });
      const expected = JSON.stringify({ ...raw, date_done: "2026-11-21T05:56:50.934000+00:00" });
      assert.equal(JSON.stringify(JSON.parse(written)), expected);
    }
  });

  it("writes STARTED and states of the user's own, without a date", () => {
    const result = { pid: 9721, hostname: "sample@host" };
    assert.equal(
      encodeState({ taskId: "x", status: "STARTED", result }),
      '{"status": "STARTED", "result": {"pid":9721,"hostname":"sample@host"}, "traceback": null, "children": [], ' +
        '"date_done": null, "task_id": "x"}',
    );
    const meta = decodeResult(
      encodeState({ taskId: 'a"b', status: "PROGRÈS", result: NaN, dateDone: new Date(NOW) }),
    );
    assert.deepEqual([meta.taskId, meta.status, meta.result, meta.dateDone], [
      'a"b',
      "PROGRÈS",
      NaN,
      new Date(NOW),
    ]);
    assert.throws(() => encodeState({ taskId: "x", status: "S", result: { f() {} } }), { path: "$.f" });
  });

  it("writes a failure as Celery does", () => {
    const text = samplesOf("redis_results").find(({ name }) => name === "unregistered")!;
    const raw = JSON.parse(Object.values(text.keys as Record<string, string>)[0]);
    const written = encodeFailure(raw.task_id, new NotRegistered("tasks.nope"), NOW, options);
    assert.equal(
      JSON.stringify(plain(written)),
      JSON.stringify({ ...raw, date_done: "2026-11-21T05:56:50.934000+00:00" }),
    );
  });

  class PaymentError extends Error {
    override name = "PaymentError";
    args = ["declined", 42];
  }
  const errors: [string, unknown, { exc_type: string; exc_message: unknown[]; exc_module: string }][] = [
    ["a name that Python has built in", new TypeError("bad"), {
      exc_type: "TypeError",
      exc_message: ["bad"],
      exc_module: "builtins",
    }],
    ["a name that Python has not", new RangeError("bad"), {
      exc_type: "RangeError",
      exc_message: ["bad"],
      exc_module: "pay",
    }],
    ["a plain error", new Error("bad"), { exc_type: "Error", exc_message: ["bad"], exc_module: "pay" }],
    ["an error with args of its own", new PaymentError(), {
      exc_type: "PaymentError",
      exc_message: ["declined", 42],
      exc_module: "pay",
    }],
    ["a name that would end a Python process", Object.assign(new Error("x"), { name: "SystemExit" }), {
      exc_type: "SystemExit",
      exc_message: ["x"],
      exc_module: "pay",
    }],
    ["an error without a name", Object.assign(new Error("x"), { name: "" }), {
      exc_type: "Error",
      exc_message: ["x"],
      exc_module: "pay",
    }],
    [
      "an error of a task before it",
      new TaskError("x", { type: "ValueError", module: "builtins", args: ["x", 1] }),
      { exc_type: "ValueError", exc_message: ["x", 1], exc_module: "builtins" },
    ],
    ["Celery's own", new TaskRevokedError("terminated"), {
      exc_type: "TaskRevokedError",
      exc_message: ["terminated"],
      exc_module: "celery.exceptions",
    }],
    ["a lost worker", new WorkerLostError("gone"), {
      exc_type: "WorkerLostError",
      exc_message: ["gone"],
      exc_module: "billiard.exceptions",
    }],
    ["a time limit", new TimeLimitExceeded(3), {
      exc_type: "TimeLimitExceeded",
      exc_message: [3],
      exc_module: "billiard.exceptions",
    }],
    ["text", "just text", { exc_type: "Error", exc_message: ["just text"], exc_module: "pay" }],
    ["undefined", undefined, { exc_type: "Error", exc_message: ["undefined"], exc_module: "pay" }],
    ["null", null, { exc_type: "Error", exc_message: [null], exc_module: "pay" }],
    ["an object", { code: 7 }, { exc_type: "Error", exc_message: [{ code: 7 }], exc_module: "pay" }],
    ["an object that can't be sent", { f() {} }, {
      exc_type: "Error",
      exc_message: ["[object Object]"],
      exc_module: "pay",
    }],
    [
      "args that can't be sent",
      Object.assign(new Error(), {
        args: [1, Symbol("s"), Object.create(null, { f: { value() {}, enumerable: true } })],
      }),
      { exc_type: "Error", exc_message: [1, "Symbol(s)", "[object Object]"], exc_module: "pay" },
    ],
    ["a DOMException", new DOMException("stopped", "AbortError"), {
      exc_type: "AbortError",
      exc_message: ["stopped"],
      exc_module: "pay",
    }],
  ];
  for (const [what, error, expected] of errors) {
    it(`writes ${what}, and reads it again`, () => {
      const text = encodeFailure("x", error, NOW, options);
      assert.deepEqual(plain(text).result, expected);
      const back = decodeResult(text).result as TaskError;
      assert.deepEqual([back.type, back.args, back.module], [
        expected.exc_type,
        expected.exc_message,
        expected.exc_module,
      ]);
      assert.equal(back.remote, "js");
      assert.deepEqual(plain(encodeFailure("x", back, NOW, options)).result, expected);
    });
  }

  const traceback = (error: unknown) => decodeResult(encodeFailure("x", error, NOW, options)).traceback;

  it("tells the stack of an error, of its causes, and of those it gathers", () => {
    const cause = new Error("the disk is full");
    assert.match(
      traceback(new Error("no luck", { cause }))!,
      /no luck\n[^]*result_meta_test[^]*Caused by: .*the disk is full/,
    );
    assert.match(traceback(new Error("no luck", { cause: "text" }))!, /Caused by: "text"/);
    const all = traceback(new AggregateError([new Error("one"), new RangeError("two")], "both"))!;
    assert.match(all, /both[^]*One of its errors: .*one[^]*One of its errors: .*two/);
    const remote = new TaskError("x", { traceback: "Traceback (most recent call last):\n  there" });
    assert.match(traceback(remote)!, /Where it was raised: Traceback \(most recent call last\):\n {2}there/);
  });

  it("tells no stack where none helps, and bounds what it tells", () => {
    assert.equal(traceback("text"), null);
    assert.equal(traceback(new WorkerLostError("gone")), null);
    assert.equal(
      decodeResult(encodeFailure("x", new Error("x"), NOW, { ...options, traceback: null })).traceback,
      null,
    );
    assert.ok(traceback(new Error("x".repeat(1e6)))!.length < 40_000);
    let error = new Error("innermost");
    for (let i = 0; i < 1000; i++) error = new Error(`level ${i}`, { cause: error });
    assert.ok(traceback(error)!.split("Caused by").length <= 10);
    const circle = new Error("round");
    circle.cause = circle;
    assert.match(traceback(circle)!, /round/);
  });

  it("keeps the message where a runtime leaves it out of the stack", () => {
    const error = new Error("first");
    void error.stack;
    error.message = "changed";
    assert.match(traceback(error)!, /^Error: changed\n/);
  });

  it("dates what is final only", () => {
    const at = (state: "FAILURE" | "RETRY" | "REVOKED") =>
      decodeResult(encodeFailure("x", "e", NOW, { ...options, state }));
    assert.deepEqual([at("FAILURE").dateDone, at("REVOKED").dateDone], [new Date(NOW), new Date(NOW)]);
    assert.equal(at("RETRY").dateDone, null);
    assert.equal(at("RETRY").status, "RETRY");
  });

  it("knows which states are final, and which are errors", () => {
    assert.deepEqual([...READY_STATES].sort(), ["FAILURE", "REVOKED", "SUCCESS"]);
    assert.deepEqual([...EXCEPTION_STATES].sort(), ["FAILURE", "RETRY", "REVOKED"]);
    assert.deepEqual(["SUCCESS", "RETRY", "PENDING", "MINE"].map(isReady), [true, false, false, false]);
  });
});

describe("errors of a task", () => {
  it("print as the remote type and message", () => {
    assert.equal(String(new TaskError("bad", { type: "ValueError" })), "ValueError: bad");
    assert.equal(String(new TaskError("bad")), "TaskError: bad");
    assert.equal(
      String(new TimeLimitExceeded(3)),
      "TimeLimitExceeded: the task ran longer than its time limit of 3 s",
    );
  });

  it("are all TaskErrors, with a cause where there is one", () => {
    const cause = new Error("inner");
    const error = new MaxRetriesExceededError(undefined, { cause });
    assert.ok(error instanceof TaskError && error instanceof Error);
    assert.equal(error.cause, cause);
    assert.equal("cause" in new TaskError("x"), false);
  });
});
