/** Tasks that run where they are called: `new App({ alwaysEager: true })`. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  App,
  type AppOptions,
  chain,
  chord,
  currentTask,
  Ignore,
  Reject,
  setDefaultApp,
  task,
  TaskError,
  UnserializableError,
} from "../../mod.ts";
import * as errands from "./errands.ts";
import * as shop from "./shop.ts";

const eager = (options: AppOptions = {}) =>
  new App({ broker: "memory:nobody", alwaysEager: true, ...options });
const thrown = async (result: PromiseLike<unknown>): Promise<Error> => {
  try {
    await result;
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was thrown");
};

describe("messages with alwaysEager", () => {
  it("go between a task and its caller, in this process", async () => {
    const app = eager();
    app.register("talk", {
      echo: task({ bind: true }, async (ctx) => {
        let current = 0;
        for await (const word of ctx.messages<string>()) {
          ctx.progress({ current: ++current });
          await ctx.send(`${word}!`);
        }
        return "said";
      }),
      atOnce: task({ bind: true }, (ctx) => {
        void ctx.send("now");
        return 1;
      }),
    });
    const result = app.sendTask("talk.echo");
    const progress: unknown[] = [];
    const end = result.onProgress(({ current }) => progress.push(current));
    await result.send("one");
    await result.send("two");
    await result.sendEnd();
    const heard: string[] = [];
    for await (const word of result.messages<string>()) heard.push(word);
    assert.deepEqual([heard, progress, await result], [["one!", "two!"], [1, 2], "said"]);
    end();
    const now = app.sendTask("talk.atOnce");
    assert.equal(await now, 1);
    for await (const message of now.messages()) assert.equal(message, "now");
    await app.disconnect();
  });

  it("of a bound task that is called as a function are heard by nobody", async () => {
    const alone = task({ bind: true }, async (ctx) => {
      for (let n = 0; n < 3_000; n++) await ctx.send(n);
      ctx.progress({ current: 1 });
      for await (const _ of ctx.messages()) assert.fail("nobody sends it anything");
      return "done";
    });
    assert.equal(await alone(), "done");
  });
});

describe("a task called by .delay() with alwaysEager", () => {
  before(() => setDefaultApp(eager()));
  after(() => setDefaultApp(new App({ broker: "memory:other" })));

  it("has run when the call returns, as far as it waits for nothing", async () => {
    const sent: string[] = [];
    const send = task({ name: "mail.send" }, (to: string) => sent.push(to));
    const result = send.delay("ada");
    assert.deepEqual(sent, ["ada"]);
    assert.equal(await result, 1);
    assert.equal(await result.status, "SUCCESS");
    assert.equal(result.returnValue, 1);
  });

  it("has its name, its context and its options", async () => {
    assert.deepEqual(await errands.report.delay("this"), {
      what: "this",
      name: "errands.tell",
      args: ["this"],
      eager: true,
      same: true,
    });
    assert.deepEqual(await errands.fetchMail.delay(7), [7]);
    assert.equal(await errands.sweep.delay(), "swept");
    assert.equal(await shop.track.applyAsync({ args: [0] }), true);
  });

  it("is given what a message would carry, and gives what a result would", async () => {
    const when = new Date(0);
    const look = task({ name: "look" }, (...args: unknown[]) => {
      assert.deepEqual(args, [{ a: 2n ** 64n, d: when }, null]);
      assert.notEqual((args[0] as { d: Date }).d, when);
      return { at: when, nothing: undefined };
    });
    assert.deepEqual(await look.delay({ a: 2n ** 64n, d: when }, undefined), {
      at: when,
      nothing: null,
    });
    assert.throws(() => look.delay({ call: () => 1 }), UnserializableError);
    const bad = task({ name: "bad" }, () => ({ call: () => 1 }));
    assert.match(String(await thrown(bad.delay())), /^UnserializableError: .*call/);
  });

  it("does not wait for its time, but for its expiry it does", async () => {
    const echo = task({ name: "echo" }, (value: number) => value);
    assert.equal(await echo.applyAsync({ args: [1], countdown: 3600, eta: new Date(2100, 1) }), 1);
    const late = echo.applyAsync({ args: [1], expires: new Date(0) });
    assert.equal((await thrown(late)).name, "TaskRevokedError");
    assert.equal(await late.status, "REVOKED");
  });
});

describe("an error of a task with alwaysEager", () => {
  const fails = {
    now: () => {
      throw new RangeError("too far");
    },
    later: async () => {
      await Promise.resolve();
      throw new RangeError("too late");
    },
  };

  it("arrives as from a worker, with the thrown error as its cause", async () => {
    const app = eager();
    app.register("fails", fails);
    for (const [name, message] of [["now", "too far"], ["later", "too late"]]) {
      const result = app.sendTask(`fails.${name}`);
      const error = await thrown(result);
      assert.ok(error instanceof TaskError);
      assert.deepEqual([error.type, error.message], ["RangeError", message]);
      assert.ok(error.cause instanceof RangeError);
      assert.match(error.cause.stack!, /eager_test\.ts:\d+/);
      assert.match(error.traceback!, /eager_test\.ts:\d+/);
      assert.equal(await result.status, "FAILURE");
      assert.ok(await result.get({ propagate: false }) instanceof TaskError);
    }
  });

  it("is thrown as it is with taskEagerPropagates", async () => {
    const app = eager({ taskEagerPropagates: true });
    app.register("fails", fails);
    assert.throws(() => app.sendTask("fails.now"), RangeError);
    assert.ok(await thrown(app.sendTask("fails.later")) instanceof RangeError);
  });

  it("is the same for arguments that do not fit", async () => {
    const app = eager();
    app.register("math", { add: task({ params: ["x", "y"] }, (x: number, y: number) => x + y) });
    assert.equal(await app.sendTask("math.add", [1], { y: 2 }), 3);
    const error = await thrown(app.sendTask("math.add", [1]));
    assert.match(String(error), /^TypeError: math\.add\(\) missing 1 required positional argument: 'y'/);
  });
});

describe("tasks by name with alwaysEager", () => {
  it("are those of registered modules, typed clients included", async () => {
    const app = eager();
    app.register("shop", shop);
    assert.ok(Math.abs(await app.module<typeof shop>("shop").price("tea", 2) - 7.2) < 1e-9);
    assert.deepEqual(
      await app.module<typeof shop>("shop").deliver("2026-01-01T00:00:00Z"),
      new Date(Date.UTC(2026)),
    );
  });

  it("are those of the files of the setting include", async () => {
    const folder = await mkdtemp(join(tmpdir(), "celeriac-eager-"));
    try {
      await writeFile(join(folder, "deep.ts"), "export const double = (x: number): number => 2 * x;\n");
      const app = eager({ include: [folder] });
      assert.equal(await app.sendTask("deep.double", [4]), 8);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("are those that a workflow made of them goes on with, without being registered", async () => {
    const first = task({ name: "flow.first" }, (n: number): number => n + 1);
    const then = task({ name: "flow.then" }, (n: number): number => n * 10);
    const sum = task({ name: "flow.sum" }, (ns: number[]): number => ns.reduce((a, b) => a + b, 0));
    const app = eager();
    setDefaultApp(app);
    assert.equal(await chain(first.s(1), then.s()).delay(), 20);
    assert.equal(await chord([first.s(1), first.s(2)], sum.s()).delay(), 5);
    assert.match((await thrown(app.sendTask("flow.none"))).message, /"flow\.none"[.;] /);
  });

  it("that nobody knows fail with what is to be done", async () => {
    const app = eager();
    app.register("shop", shop);
    const result = app.sendTask("shop.prise");
    const error = await thrown(result);
    assert.equal(error.name, "NotRegistered");
    assert.match(error.message, /"shop\.prise"; did you mean "shop\.price"\?.*app\.register\("shop"/);
    await assert.rejects(app.AsyncResult(result.id).get(), { name: "NotRegistered" });
  });

  it("can be found again by their id, as a web page does that polls", async () => {
    const app = eager();
    let goOn = () => {};
    app.register("slow", {
      work: task({ bind: true }, async (ctx) => {
        ctx.updateState({ state: "PROGRESS", meta: { done: 1 } });
        await new Promise<void>((resolve) => goOn = resolve);
        return "done";
      }),
    });
    const { id } = app.sendTask("slow.work");
    const found = app.AsyncResult(id);
    assert.deepEqual([await found.status, await found.info, await found.ready()], [
      "PROGRESS",
      { done: 1 },
      false,
    ]);
    goOn();
    assert.equal(await found, "done");
    await found.forget();
    assert.equal(await app.AsyncResult(id).status, "PENDING");
    await assert.rejects(app.AsyncResult("never sent").get(), /alwaysEager/);
  });

  it("call each other, each with its own context and its parent's id", async () => {
    const app = eager();
    app.register("family", {
      child: () => currentTask()!.parentId,
      parent: async () => {
        const child = await app.sendTask("family.child");
        return [child, currentTask()!.id];
      },
    });
    const result = app.sendTask("family.parent");
    assert.deepEqual(await result, [result.id, result.id]);
  });

  it("that store nothing let nobody wait for ever", async () => {
    const app = eager();
    let runs = 0;
    app.register("odd", {
      ignored: task({ ignoreResult: true }, () => 1),
      ignores: () => {
        throw new Ignore();
      },
      rejects: () => {
        throw new Reject("not for me");
      },
      givesBack: () => {
        if (++runs < 3) throw new Reject("later", true);
        return runs;
      },
      neverTakes: () => {
        throw new Reject("never", true);
      },
    });
    const ignored = app.sendTask("odd.ignored");
    assert.equal(await ignored.status, "PENDING");
    assert.equal(await ignored, null);
    assert.equal(await app.sendTask("odd.ignores"), null);
    assert.equal(String(await thrown(app.sendTask("odd.rejects"))), "Reject: not for me");
    assert.equal(await app.sendTask("odd.givesBack"), 3);
    assert.match(String(await thrown(app.sendTask("odd.neverTakes"))), /given back 6 times/);
  });

  it("may be ten thousand at once", async () => {
    const app = eager();
    app.register("many", { echo: async (value: number) => await Promise.resolve(value) });
    const results = Array.from({ length: 10_000 }, (_, i) => app.sendTask<number>("many.echo", [i]));
    assert.deepEqual(await Promise.all(results), [...results.keys()]);
  });
});

describe("a task with alwaysEager that asks to be retried", () => {
  it("runs again at once, whatever its time, and tells of its states", async () => {
    const app = eager();
    const runs: unknown[] = [];
    app.register("again", {
      f: task({ bind: true }, (ctx, word: string) => {
        runs.push([ctx.retries, ctx.isEager, word]);
        if (ctx.retries < 2) ctx.retry({ countdown: 3600, exc: new RangeError("busy") });
        return word;
      }),
    });
    const result = app.sendTask("again.f", ["word"]);
    assert.equal(await result.status, "RETRY");
    assert.equal(await result, "word");
    assert.deepEqual(runs, [[0, true, "word"], [1, true, "word"], [2, true, "word"]]);
  });

  it("fails as with a worker when it was retried as often as it may be", async () => {
    const app = eager();
    app.register("again", {
      auto: task({ autoretryFor: [RangeError], maxRetries: 2 }, () => {
        throw new RangeError("busy");
      }),
      asks: task({ bind: true, maxRetries: 0 }, (ctx) => ctx.retry()),
    });
    const auto = await thrown(app.sendTask("again.auto"));
    assert.equal(String(auto), "RangeError: busy");
    assert.ok(auto.cause instanceof RangeError);
    assert.equal((await thrown(app.sendTask("again.asks"))).name, "MaxRetriesExceededError");
  });

  it("throws what the task threw, with taskEagerPropagates, only in the end", async () => {
    const app = eager({ taskEagerPropagates: true });
    let runs = 0;
    app.register("again", {
      f: task({ autoretryFor: [RangeError] }, () => {
        if (++runs < 3) throw new RangeError("busy");
        return "done";
      }),
    });
    assert.equal(await app.sendTask("again.f"), "done");
  });

  it("outside of an app has nobody to run it again", () => {
    const busy = new RangeError("busy");
    const alone = task({ bind: true }, (ctx) => ctx.retry({ exc: busy }));
    assert.throws(() => alone(), (error) => error === busy);
  });
});
