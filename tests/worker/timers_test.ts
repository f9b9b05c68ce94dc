/** Timers of tasks, in time that the test turns: a worker, its hub and a client in one process. */
import assert from "node:assert/strict";
import { configureSync, type LogRecord, resetSync } from "@logtape/logtape";
import { afterEach, describe, it } from "node:test";
import { App, currentTask, task, type TaskContext, TimerLimitError } from "../../mod.ts";
import type { FakeClock } from "../../runtime/fake_clock.ts";
import { startTesting, type Testing, type TestingOptions } from "../../runtime/testing.ts";

const HOUR = 3600;
const open: Testing[] = [];
afterEach(async () => {
  for (const testing of open.splice(0)) await testing.close();
});

/** What callbacks were given, and in whose name. */
interface Heard {
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly context: TaskContext;
}

/** A worker with a task `t.run` that does what the test says, and one `t.heard` that is called back. */
async function setUp(options: TestingOptions = {}) {
  const heard: Heard[] = [];
  const plain = (...args: unknown[]) => {
    heard.push({ args, kwargs: currentTask()!.kwargs, context: currentTask()! });
    return args.length;
  };
  const marked = task({ params: ["word", "by"] }, (word: string, by = "nobody") => {
    heard.push({ args: [word, by], kwargs: {}, context: currentTask()! });
    return word;
  });
  let next: (ctx: TaskContext) => unknown = () => {};
  const run = task({ bind: true }, (ctx) => next(ctx));
  const testing = await startTesting({ ...options, tasks: { t: { run, heard: plain, marked } } });
  open.push(testing);
  return {
    ...testing,
    heard,
    plain,
    marked,
    words: () => heard.splice(0).map(({ args }) => args[0]),
    /** Runs code in a task; gives what it returns. */
    inTask: async <T>(code: (ctx: TaskContext) => T): Promise<Awaited<T>> => {
      next = code;
      return await testing.app.sendTask("t.run").get() as Awaited<T>;
    },
    async pass(seconds: number) {
      await testing.advance(seconds);
      await testing.idle();
    },
  };
}

describe("ctx.callAfter", () => {
  it("calls a task when its time has come, with its arguments and its parents", async () => {
    const { inTask, heard, pass, app } = await setUp();
    const [id, parent, root] = await inTask((ctx) => {
      const timer = ctx.callAfter(10, "t.marked", ["ten"], { by: "Ada" }, { headers: { note: "x" } });
      return [timer.id, ctx.id, ctx.rootId];
    });
    await pass(9.999);
    assert.equal(heard.length, 0);
    await pass(0.001);
    assert.equal(heard.length, 1);
    const [{ args, context }] = heard;
    assert.deepEqual(args, ["ten", "Ada"]);
    assert.equal(context.parentId, parent);
    assert.equal(context.rootId, root);
    assert.deepEqual(context.headers, { note: "x" });
    assert.equal(context.id, id, "the callback runs under the timer's id");
    assert.equal(await app.AsyncResult(id!).get(), "ten");
  });

  it("takes a function of a task module, whether task() made it or not", async () => {
    const { inTask, words, pass, plain, marked } = await setUp();
    await inTask((ctx) => {
      ctx.callAfter(1, plain, ["plain"]);
      ctx.callAfter(1, marked, ["marked"]);
    });
    await pass(1);
    assert.deepEqual(words(), ["plain", "marked"]);
  });

  it("takes any name: the task may be another worker's", async () => {
    const { inTask, advance, app } = await setUp();
    await inTask((ctx) => ctx.callAfter(1, "python.task", [1], {}, { queue: "python" }).id);
    await advance(1);
    const lengths = await (await app.transport()).lengths(["python"]);
    assert.equal(lengths[0].ready, 1);
  });

  it("refuses what can't be, at once and by name", async () => {
    const { inTask } = await setUp();
    const refused = (name: string, message: RegExp, call: (ctx: TaskContext) => void) =>
      inTask((ctx) => void assert.throws(() => call(ctx), { name, message }));
    await refused(
      "RangeError",
      /callAfter: -1 is no number of seconds/,
      (ctx) => ctx.callAfter(-1, "t.heard"),
    );
    await refused("RangeError", /NaN/, (ctx) => ctx.callAfter(NaN, "t.heard"));
    await refused("RangeError", /Infinity/, (ctx) => ctx.callAfter(Infinity, "t.heard"));
    await refused("RangeError", /invalid date/, (ctx) => ctx.callAt(new Date("never"), "t.heard"));
    await refused("RangeError", /0 is no number of seconds/, (ctx) => ctx.callRepeatedly(0, "t.heard"));
    await refused("TypeError", /name of one/, (ctx) => ctx.callAfter(1, ""));
    await refused("TypeError", /no task of this worker/, (ctx) => ctx.callAfter(1, () => 1));
    await refused("TypeError", /no list/, (ctx) => ctx.callAfter(1, "t.heard", "x" as never));
    await refused("UnserializableError", /args/, (ctx) => ctx.callAfter(1, "t.heard", [() => 1]));
    await refused("RangeError", /priority/, (ctx) => ctx.callAfter(1, "t.heard", [], {}, { priority: 10 }));
    await refused("RangeError", /expires/, (ctx) => ctx.callAfter(1, "t.heard", [], {}, { expires: 0 }));
    await refused("TypeError", /queue/, (ctx) => ctx.callAfter(1, "t.heard", [], {}, { queue: "" }));
    const long = ["x".repeat(20 * 1024 * 1024)];
    await refused("RangeError", /no message may have over/, (ctx) => ctx.callAfter(1, "t.heard", long));
    await refused(
      "TypeError",
      /durable/,
      (ctx) => ctx.callRepeatedly(1, "t.heard", [], {}, { durable: true } as never),
    );
  });

  it("keeps no more timers than workerMaxTimers: a task that sets one more fails", async () => {
    const { inTask, words, pass } = await setUp({ settings: { workerMaxTimers: 3 } });
    await inTask((ctx) => void [1, 2, 3].forEach((n) => ctx.callAfter(n, "t.heard", [n])));
    await assert.rejects(inTask((ctx) => void ctx.callAfter(4, "t.heard", [4])), {
      type: "TimerLimitError",
      message: /holds 3 timers already.*workerMaxTimers/,
    });
    await inTask(async (ctx) => {
      await assert.rejects(ctx.callAfter(5, "t.heard", [5]).held, TimerLimitError);
    });
    await pass(1);
    await inTask((ctx) => ctx.callAfter(6, "t.heard", [6]).held);
    await pass(10);
    assert.deepEqual(words(), [1, 2, 3, 6]);
  });
});

describe("ctx.callAt and ctx.callRepeatedly", () => {
  it("call at a time of the day, as the clock shows it then", async () => {
    const { inTask, words, pass, clock } = await setUp();
    const start = clock.now();
    await inTask((ctx) => {
      ctx.callAt(new Date(start + 60_000), "t.heard", ["at"]);
      ctx.callAfter(60, "t.heard", ["after"]);
    });
    (clock as FakeClock).jump(-30_000);
    await pass(60);
    assert.deepEqual(words(), ["after"]);
    await pass(30);
    assert.deepEqual(words(), ["at"]);
  });

  it("call again and again until they are cancelled, each time under an id of its own", async () => {
    const { inTask, heard, pass } = await setUp();
    const id = await inTask((ctx) => ctx.callRepeatedly(5, "t.heard", ["tick"]).id);
    await pass(16);
    assert.deepEqual(heard.map(({ context }) => context.id), [id, `${id}.2`, `${id}.3`]);
    assert.equal(await inTask((ctx) => ctx.timers.cancel(id)), "cancelled");
    await pass(60);
    assert.equal(heard.length, 3);
  });
});

describe("cancelling", () => {
  it("works from the same task, another one, and the client", async () => {
    const { inTask, words, pass, app } = await setUp();
    const ids = await inTask(async (ctx) => {
      const timers = ["own", "other", "client", "left"].map((word) => ctx.callAfter(10, "t.heard", [word]));
      assert.equal(await timers[0].cancel(), "cancelled");
      assert.equal(await timers[0].cancel(), "too late");
      return timers.map(({ id }) => id);
    });
    assert.equal(await inTask((ctx) => ctx.timers.cancel(ids[1])), "cancelled");
    assert.equal(await app.timers.cancel(ids[2]), "cancelled");
    assert.equal(await app.timers.cancel(ids[2]), "too late");
    await pass(10);
    assert.deepEqual(words(), ["left"]);
    assert.equal(await inTask((ctx) => ctx.timers.cancel(ids[3])), "too late");
    assert.equal(await app.timers.cancel("no timer"), "too late");
  });

  it("says unknown where the timer's worker gives no answer", async () => {
    const { inTask, app, advance } = await setUp();
    const elsewhere = "timer-019a6f1e-0000-7000-8000-00000000000f-1-1";
    const asked = Promise.all([
      app.timers.cancel(elsewhere, { timeout: 2 }),
      inTask((ctx) => ctx.timers.cancel(elsewhere)),
    ]);
    let answers: unknown;
    asked.then((found) => answers = found);
    while (answers === undefined) await advance(0.5);
    assert.deepEqual(answers, ["unknown", "unknown"]);
  });

  it("is listed no more, and nobody else's timers are", async () => {
    const { inTask, app, clock, advance } = await setUp();
    const id = await inTask((ctx) => {
      ctx.callAfter(20, "t.heard", ["b"]);
      return ctx.callRepeatedly(10, "t.heard", ["a"]).id;
    });
    const listed = async () => {
      let found: Awaited<ReturnType<typeof app.timers.list>> | undefined;
      void app.timers.list().then((list) => found = list);
      while (found === undefined) await advance(0.5);
      return found["celery@testing"];
    };
    const begun = clock.now();
    const { count, timers } = await listed();
    assert.equal(count, 2);
    assert.deepEqual(timers.map(({ task, every }) => [task, every]), [["t.heard", 10], ["t.heard", null]]);
    assert.equal(timers[0].id, id);
    assert.equal(Date.parse(timers[0].due), begun + 10_000);
    assert.equal(await app.timers.cancel(id), "cancelled");
    assert.equal((await listed()).count, 1);
  });
});

describe("durable timers", () => {
  it("are delayed tasks, which the broker keeps", async () => {
    const { inTask, words, pass, app } = await setUp();
    const id = await inTask((ctx) => ctx.callAfter(HOUR, "t.heard", ["kept"], {}, { durable: true }).id);
    assert.match(id, /^durable-timer-\d+-/);
    await pass(1);
    const lengths = await (await app.transport()).lengths(["celery"]);
    assert.equal(lengths[0].delayed, 1);
    await pass(HOUR);
    assert.deepEqual(words(), ["kept"]);
    assert.equal(await app.timers.cancel(id), "too late");
  });

  it("are cancelled by a revoke, from a task and from the client", async () => {
    const { inTask, words, pass, app } = await setUp();
    const ids = await inTask((ctx) =>
      [1, 2, 3].map((n) => ctx.callAfter(HOUR, "t.heard", [n], {}, { durable: true }).id)
    );
    assert.equal(await inTask((ctx) => ctx.timers.cancel(ids[0])), "cancelled");
    assert.equal(await app.timers.cancel(ids[1]), "cancelled");
    await pass(HOUR + 10);
    assert.deepEqual(words(), [3]);
    assert.equal(await app.AsyncResult(ids[0]).status, "REVOKED");
  });
});

describe("the end of a worker", () => {
  it("tells of the timers that end with it", async () => {
    const lines: string[] = [];
    configureSync({
      sinks: { lines: (record: LogRecord) => void lines.push(record.message.join("")) },
      loggers: [
        { category: ["celeriac", "worker"], lowestLevel: "warning", sinks: ["lines"] },
        { category: ["logtape", "meta"], lowestLevel: "error", sinks: [] },
      ],
    });
    try {
      const { inTask, worker, clock } = await setUp();
      await inTask((ctx) => {
        for (let n = 1; n <= 6; n++) ctx.callAfter(n * HOUR, n === 1 ? "t.marked" : "t.heard", [String(n)]);
        ctx.callRepeatedly(10 * HOUR, "t.heard");
      });
      worker.stop();
      await worker.done;
      const line = lines.find((line) => line.includes("timers")) ?? "";
      const due = new Date(clock.now() + HOUR * 1000).toISOString();
      assert.ok(line.startsWith(`7 timers of this worker's memory ended with it`), line);
      assert.ok(line.includes(`t.marked at ${due}`) && line.includes("and 2 more"), line);
    } finally {
      resetSync();
    }
  });

  it("waits until what is due is published", async () => {
    const { inTask, worker, app, clock } = await setUp();
    await inTask((ctx) => void ctx.callAfter(1, "t.heard", ["due"], {}, { queue: "others" }));
    (clock as FakeClock).skip(1_000);
    await (clock as FakeClock).advance(0);
    worker.stop();
    await worker.done;
    const lengths = await (await app.transport()).lengths(["others"]);
    assert.equal(lengths[0].ready, 1);
  });
});

describe("timers with alwaysEager", () => {
  it("call in this process, in the app's own time", async () => {
    const { clock } = await setUp();
    const app = new App({ broker: "memory:nobody", alwaysEager: true, clock });
    const said: unknown[] = [];
    const say = (word: unknown) => said.push(word);
    app.register("e", {
      say,
      start: task({ bind: true }, (ctx) => [
        ctx.callAfter(5, say, ["after"]).id,
        ctx.callAt(new Date(clock.now() + 6_000), "e.say", ["at"]).id,
        ctx.callRepeatedly(2, "e.say", ["tick"]).id,
        ctx.callAfter(7, "e.say", ["durable"], {}, { durable: true }).id,
        ctx.callAfter(7, "e.say", ["cancelled"], {}, { durable: true }).id,
      ]),
    });
    const ids = await app.sendTask<string[]>("e.start");
    assert.equal((await app.timers.list())[""].count, 5);
    assert.equal(await app.timers.cancel(ids[4]), "cancelled");
    const advance = (seconds: number) => (clock as FakeClock).advance(seconds * 1000);
    await advance(5);
    assert.deepEqual(said, ["tick", "tick", "after"]);
    assert.equal(await app.timers.cancel(ids[2]), "cancelled");
    await advance(60);
    assert.deepEqual(said.slice(3), ["at", "durable"]);
    assert.equal(await app.AsyncResult(ids[0]).get(), 3);
    assert.equal(await app.timers.cancel(ids[3]), "too late");
    await app.disconnect();
  });

  it("need more than a function that is called directly", () => {
    const alone = task({ bind: true, name: "alone" }, (ctx) => void ctx.callAfter(1, "t.heard"));
    assert.throws(() => alone(), /alone was called as a plain function: its timers need a worker/);
  });
});
