/** Tasks that are run again, that give their message back, and that hear of their ends: in the test's own process and time. */
import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import {
  Ignore,
  MaxRetriesExceededError,
  Reject,
  Retry,
  task,
  type TaskContext,
  TaskError,
} from "../../mod.ts";
import { startTesting, type Testing, type TestingOptions } from "../../runtime/testing.ts";
import { eventually } from "../conformance/patience.ts";

const open: Testing[] = [];
const start = async (tasks: object, options: Partial<TestingOptions> = {}) => {
  const testing = await startTesting({ tasks: { t: tasks }, ...options });
  open.push(testing);
  return testing;
};
afterEach(async () => {
  for (const testing of open.splice(0)) await testing.close();
});

const thrown = async (result: PromiseLike<unknown>): Promise<TaskError> => {
  try {
    await result;
  } catch (error) {
    assert.ok(error instanceof TaskError, String(error));
    return error;
  }
  throw new Error("nothing was thrown");
};

describe("ctx.retry()", () => {
  it("runs the task again under its id, when its time has come", async () => {
    const runs: unknown[] = [];
    const { app, idle, advance, worker } = await start({
      f: task({ bind: true }, (ctx, word: string) => {
        runs.push([ctx.id, ctx.retries, ctx.redelivered, ctx.headers.mine, ctx.eta?.getTime() ?? 0, word]);
        if (ctx.retries < 2) throw ctx.retry({ countdown: 60, exc: new RangeError("busy") });
        return "done";
      }),
    }, { now: new Date(0) });
    const result = app.sendTask("t.f", ["word"], {}, { headers: { mine: 1 } });
    await idle();
    assert.equal(await result.status, "RETRY");
    const { result: error, traceback, retries } = (await result.meta())!;
    assert.equal(String(error), "RangeError: busy");
    assert.match(
      traceback!,
      /^\w+: retry in 60s: RangeError: busy\n.*retry_test\.ts[^]*\nCaused by: RangeError: busy\n/,
    );
    assert.equal(retries, null);
    await advance(59);
    assert.equal(runs.length, 1);
    await advance(1);
    assert.equal((await result.meta())!.retries, 1);
    await advance(60);
    assert.equal(await result, "done");
    const { id } = result;
    assert.deepEqual(runs, [0, 1, 2].map((n) => [id, n, false, 1, n * 60_000, "word"]));
    assert.deepEqual(worker.counts, { ...worker.counts, succeeded: 1, failed: 0, retried: 2 });
  });

  it("throws with and without a throw in front, from an async function, too", async () => {
    const { app } = await start({
      plain: task({ bind: true }, (ctx): string => {
        if (ctx.retries === 0) ctx.retry({ countdown: 0 });
        return "plain";
      }),
      waits: task({ bind: true }, async (ctx): Promise<string> => {
        await Promise.resolve();
        if (ctx.retries === 0) throw ctx.retry({ countdown: 0 });
        return "waits";
      }),
    });
    assert.equal(await app.sendTask("t.plain"), "plain");
    assert.equal(await app.sendTask("t.waits"), "waits");
  });

  it("too often fails with what was given, else with MaxRetriesExceededError", async () => {
    const { app } = await start({
      given: task({ bind: true, maxRetries: 2 }, (ctx) => {
        throw ctx.retry({ countdown: 0, exc: new RangeError(`try ${ctx.retries}`) });
      }),
      not: task({ bind: true, maxRetries: 1 }, (ctx) => {
        throw ctx.retry({ countdown: 0 });
      }),
    });
    assert.equal(String(await thrown(app.sendTask("t.given"))), "RangeError: try 2");
    const error = await thrown(app.sendTask("t.not"));
    assert.ok(error instanceof MaxRetriesExceededError);
    assert.match(error.message, /^t\.not\[.*\] was retried once already/);
    assert.equal(error.module, "celery.exceptions");
  });

  it("with throw: false leaves the outcome to the task, as in Celery", async () => {
    const runs: number[] = [];
    const { app, advance } = await start({
      f: task({ bind: true }, (ctx) => {
        runs.push(ctx.retries);
        if (ctx.retries > 0) return "second";
        assert.ok(ctx.retry({ countdown: 1, throw: false }) instanceof Retry);
        return "first";
      }),
    });
    const result = app.sendTask("t.f");
    assert.equal(await result, "first");
    await advance(1);
    assert.deepEqual(runs, [0, 1]);
    // A stored success is final.
    assert.equal(await result.get(), "first");
  });

  it("takes other arguments, and another queue", async () => {
    const runs: unknown[] = [];
    const { app } = await start({
      f: task({ bind: true, params: ["x", "y"] }, (ctx, x: number, y: number) => {
        runs.push([x, y]);
        if (ctx.retries === 0) ctx.retry({ countdown: 0, kwargs: { y: 7 } });
        ctx.retry({ countdown: 0, queue: "elsewhere" });
      }),
    });
    app.sendTask("t.f", [1, 2]);
    await eventually(async () => {
      const [{ ready }] = await (await app.transport()).lengths(["elsewhere"]);
      assert.equal(ready, 1);
    });
    assert.deepEqual(runs, [[1, 2], [1, 7]]);
  });

  it("caught by the task changes nothing: its message goes out, and what it returns is its result", async () => {
    const { app, advance } = await start({
      f: task({ bind: true }, (ctx): string => {
        if (ctx.retries > 0) return "second";
        try {
          throw ctx.retry({ countdown: 1 });
        } catch {
          return "caught";
        }
      }),
    });
    assert.equal(await app.sendTask("t.f"), "caught");
    await advance(1);
  });

  it("is the same as a Retry that the task throws itself", async () => {
    const { app, advance, idle } = await start({
      f: task({ bind: true, defaultRetryDelay: 5 }, (ctx) => {
        if (ctx.retries === 0) throw new Retry("not yet", { cause: new RangeError("busy") });
        return "done";
      }),
    });
    const result = app.sendTask("t.f");
    await idle();
    assert.equal(String((await result.meta())!.result), "RangeError: busy");
    await advance(5);
    assert.equal(await result, "done");
  });

  it("of a task that ignores its result stores nothing and runs again", async () => {
    let runs = 0;
    const { app, idle } = await start({
      f: task({ bind: true, ignoreResult: true }, (ctx) => {
        runs++;
        if (ctx.retries === 0) ctx.retry({ countdown: 0 });
      }),
    });
    const result = app.sendTask("t.f");
    await idle();
    assert.deepEqual([runs, await result.status], [2, "PENDING"]);
  });

  it("of a task that was acknowledged before its run sends it again, too", async () => {
    const { app, advance, idle } = await start({
      f: task({ bind: true, acksLate: false }, (ctx) => {
        if (ctx.retries === 0) ctx.retry({ countdown: 10 });
        return "done";
      }),
    });
    const result = app.sendTask("t.f");
    await idle();
    assert.equal(await result.status, "RETRY");
    await advance(10);
    assert.equal(await result, "done");
  });

  it("that waits for its time is called off by a revoke", async () => {
    let runs = 0;
    const { app, advance, idle } = await start({
      f: task({ bind: true }, (ctx) => {
        runs++;
        ctx.retry({ countdown: 60 });
      }),
    });
    const result = app.sendTask("t.f");
    await idle();
    await app.control.revoke(result.id);
    await idle();
    await advance(60);
    assert.equal(String(await thrown(result)), "TaskRevokedError: revoked");
    assert.equal(runs, 1);
  });

  it("does not end the messages of the task", async () => {
    const { app } = await start({
      f: task({ bind: true }, async (ctx) => {
        await ctx.send(`try ${ctx.retries}`);
        if (ctx.retries < 2) ctx.retry({ countdown: 0 });
      }),
    });
    const heard: unknown[] = [];
    for await (const message of app.sendTask("t.f").messages()) heard.push(message);
    assert.deepEqual(heard, ["try 0", "try 1", "try 2"]);
  });
});

describe("autoretryFor", () => {
  class NetworkError extends Error {
    override readonly name: string = "NetworkError";
  }
  class WrongPassword extends NetworkError {
    override readonly name = "WrongPassword";
  }

  it("retries what it names, but for what dontAutoretryFor names", async () => {
    const runs: string[] = [];
    const { app } = await start({
      f: task(
        {
          bind: true,
          autoretryFor: [NetworkError],
          dontAutoretryFor: ["WrongPassword"],
          retryKwargs: { countdown: 0, maxRetries: 4 },
        },
        async (ctx, kind: string) => {
          runs.push(kind);
          await Promise.resolve();
          if (kind === "other") throw new RangeError("other");
          throw kind === "wrong" ? new WrongPassword("no") : new NetworkError(`try ${ctx.retries}`);
        },
      ),
    });
    assert.equal(String(await thrown(app.sendTask("t.f", ["network"]))), "NetworkError: try 4");
    assert.equal(String(await thrown(app.sendTask("t.f", ["wrong"]))), "WrongPassword: no");
    assert.equal(String(await thrown(app.sendTask("t.f", ["other"]))), "RangeError: other");
    assert.deepEqual(runs, ["network", "network", "network", "network", "network", "wrong", "other"]);
  });

  it("waits longer each time with retryBackoff", async () => {
    const at: number[] = [];
    const { app, advance, clock, idle } = await start({
      f: task(
        { autoretryFor: ["Error"], retryBackoff: true, retryJitter: false, maxRetries: 4 },
        () => {
          at.push(clock.now() / 1000);
          throw new NetworkError("down");
        },
      ),
    }, { now: new Date(0) });
    const result = app.sendTask("t.f");
    await idle();
    await advance(100);
    assert.equal(String(await thrown(result)), "NetworkError: down");
    assert.deepEqual(at, [0, 1, 3, 7, 15]);
  });

  it("leaves alone what says itself what becomes of its message", async () => {
    const { app, idle, worker } = await start({
      ignores: task({ autoretryFor: [Error] }, () => {
        throw new Ignore();
      }),
      rejects: task({ autoretryFor: [Error] }, () => {
        throw new Reject("no");
      }),
    });
    app.sendTask("t.ignores");
    assert.equal(String(await thrown(app.sendTask("t.rejects"))), "Reject: no");
    await idle();
    assert.equal(worker.counts.retried, 0);
  });
});

describe("Ignore and Reject", () => {
  it("store nothing, a failure, or run it again, as in Celery", async () => {
    let runs = 0;
    const { app, idle } = await start({
      ignores: task({ bind: true }, (ctx) => {
        ctx.updateState({ state: "MINE", meta: 1 });
        throw new Ignore();
      }),
      rejects: () => {
        throw new Reject("not for me");
      },
      returns: () => {
        if (++runs < 3) throw new Reject({ requeue: true });
        return runs;
      },
    });
    const ignored = app.sendTask("t.ignores");
    const rejected = app.sendTask("t.rejects");
    assert.equal(await app.sendTask("t.returns"), 3);
    await idle();
    // A state of its own stays: that is what Ignore is for.
    assert.equal(await ignored.status, "MINE");
    const error = await thrown(rejected);
    assert.deepEqual([error.type, error.module, error.args], ["Reject", "celery.exceptions", [
      "not for me",
      false,
    ]]);
    const [{ reason }] = await (await app.transport()).deadLetters("celery", 1);
    assert.equal(reason, "rejected by the task: not for me");
  });

  it("are made in both spellings", () => {
    const made = [
      new Reject(),
      new Reject("a", true),
      new Reject("b", { requeue: true }),
      new Reject({ requeue: true }),
    ];
    assert.deepEqual(made.map(({ message, requeue }) => [message, requeue]), [
      ["rejected by the task", false],
      ["a", true],
      ["b", true],
      ["rejected by the task", true],
    ]);
  });
});

describe("hooks of a task", () => {
  /** A task with all hooks, which ends as it is told. */
  function hooked(said: unknown[], pause: () => Promise<void> | undefined = () => undefined) {
    const end = (name: string) => (ctx: TaskContext, ...args: unknown[]) => {
      said.push([name, ctx.retries, ...args.map((arg) => arg instanceof Error ? String(arg) : arg)]);
      return pause();
    };
    return task(
      {
        bind: true,
        onBeforeStart: end("before"),
        onSuccess: end("success"),
        onFailure: end("failure"),
        onRetry: end("retry"),
        onAfterReturn: end("after"),
      },
      (ctx, how: string) => {
        if (how === "fail") throw new RangeError("bad");
        if (how === "ignore") throw new Ignore();
        if (how === "retry" && ctx.retries === 0) ctx.retry({ countdown: 0, exc: new RangeError("busy") });
        return how;
      },
    );
  }

  for (const waits of [false, true]) {
    it(`hear of each end, with Celery's arguments${waits ? ", and are waited for" : ""}`, async () => {
      const said: unknown[][] = [];
      let hooks = 0;
      const { app } = await start({
        f: hooked(said, () => {
          hooks++;
          return waits ? new Promise((resolve) => setTimeout(resolve, 1)) : undefined;
        }),
      });
      const traces = (each: unknown) =>
        typeof each === "object" && each !== null && "traceback" in each ? "trace" : each;
      const hear = async (how: string) => {
        const result = app.sendTask("t.f", [how], { k: 1 });
        await result.get().catch(() => {});
        const { id } = result;
        return said.splice(0).map((call) => call.map((each) => each === id ? "ID" : traces(each)));
      };
      const call = ["ID", ["ok"], { k: 1 }];
      assert.deepEqual(await hear("ok"), [
        ["before", 0, ...call],
        ["success", 0, "ok", ...call],
        ["after", 0, "SUCCESS", "ok", ...call, null],
      ]);
      const failing = ["ID", ["fail"], { k: 1 }];
      assert.deepEqual(await hear("fail"), [
        ["before", 0, ...failing],
        ["failure", 0, "RangeError: bad", ...failing, "trace"],
        ["after", 0, "FAILURE", "RangeError: bad", ...failing, "trace"],
      ]);
      const retrying = ["ID", ["retry"], { k: 1 }];
      assert.deepEqual(await hear("retry"), [
        ["before", 0, ...retrying],
        ["retry", 0, "RangeError: busy", ...retrying, "trace"],
        ["before", 1, ...retrying],
        ["success", 1, "retry", ...retrying],
        ["after", 1, "SUCCESS", "retry", ...retrying, null],
      ]);
      assert.equal(hooks, 11);
    });
  }

  it("are not told of what the task ignores", async () => {
    const said: unknown[][] = [];
    const { app, idle } = await start({ f: hooked(said) });
    app.sendTask("t.f", ["ignore"]);
    await idle();
    assert.deepEqual(said.map(([name]) => name), ["before"]);
  });

  it("that fail change nothing, but for the first one, whose error is the task's", async () => {
    const fails = () => {
      throw new Error("a broken hook");
    };
    const failsLater = () => Promise.reject(new Error("a broken hook"));
    const { app } = await start({
      ok: task({ onSuccess: fails, onAfterReturn: failsLater }, () => "fine"),
      bad: task({ onFailure: failsLater, onAfterReturn: fails }, () => {
        throw new RangeError("bad");
      }),
      before: task({ onBeforeStart: fails }, () => "never"),
      beforeLater: task({ onBeforeStart: failsLater }, () => "never"),
    });
    assert.equal(await app.sendTask("t.ok"), "fine");
    assert.equal(String(await thrown(app.sendTask("t.bad"))), "RangeError: bad");
    assert.equal(String(await thrown(app.sendTask("t.before"))), "Error: a broken hook");
    assert.equal(String(await thrown(app.sendTask("t.beforeLater"))), "Error: a broken hook");
  });
});

describe("expires", () => {
  const expiring = { f: () => "ran" };

  it("is looked at when the task would start: after it has waited in the schedule", async () => {
    const { app, advance, idle } = await start(expiring);
    const early = app.sendTask("t.f", [], {}, { countdown: 100, expires: 101 });
    const late = app.sendTask("t.f", [], {}, { countdown: 100, expires: 60 });
    await idle();
    await advance(59);
    assert.deepEqual([await early.status, await late.status], ["PENDING", "PENDING"]);
    // It will never run, and its caller hears of that as soon as it is certain.
    await advance(1);
    assert.equal(await late.status, "REVOKED");
    assert.equal(String(await thrown(late)), "TaskRevokedError: expired");
    await advance(40);
    assert.equal(await early, "ran");
  });

  it("takes seconds or a date, also one that has passed", async () => {
    const { app, clock } = await start(expiring);
    const past = new Date(clock.now() - 1);
    assert.equal(
      String(await thrown(app.sendTask("t.f", [], {}, { expires: past }))),
      "TaskRevokedError: expired",
    );
    assert.equal(
      String(await thrown(app.sendTask("t.f", [], {}, { expires: 0 }))),
      "TaskRevokedError: expired",
    );
    assert.equal(await app.sendTask("t.f", [], {}, { expires: new Date(clock.now() + 1) }), "ran");
  });

  it("is looked at after it has waited behind another in its isolate", async () => {
    let free = () => {};
    const { app, clock, idle, advance } = await start({
      hold: () => new Promise<void>((resolve) => free = resolve),
      f: () => "ran",
    }, { slots: 1 });
    const holding = app.sendTask("t.hold");
    const result = app.sendTask("t.f", [], {}, { expires: 30 });
    const other = app.sendTask("t.f", [], {}, { expires: new Date(clock.now() + 3_600_000) });
    await other.published;
    await advance(31);
    free();
    await holding;
    await idle();
    assert.equal(String(await thrown(result)), "TaskRevokedError: expired");
    assert.equal(await other, "ran");
  });

  it("holds for retries, too", async () => {
    const { app, advance, idle } = await start({
      f: task({ bind: true }, (ctx) => ctx.retry({ countdown: 100 })),
    });
    const result = app.sendTask("t.f", [], {}, { expires: 50 });
    await idle();
    await advance(50);
    assert.equal(String(await thrown(result)), "TaskRevokedError: expired");
  });
});
