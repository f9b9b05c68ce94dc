/** `celeriac/testing`: app, broker and worker in one process, in time that the test turns. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { after, afterEach, describe, it } from "node:test";
import { App, currentTask, defaultApp, setDefaultApp, task, TaskError } from "../mod.ts";
import { startTesting, type Testing, type TestingOptions } from "../runtime/testing.ts";

const MATH = fileURLToPath(new URL("../tasks/math.ts", import.meta.url));
const open: Testing[] = [];
const start = async (options?: TestingOptions) => {
  const testing = await startTesting(options);
  open.push(testing);
  return testing;
};
afterEach(async () => {
  for (const testing of open.splice(0)) await testing.close();
});

describe("startTesting", () => {
  it("runs the tasks of modules, and functions of the test in their place", async () => {
    const { app } = await start({ modules: [MATH], tasks: { math: { mul: () => "mine" } } });
    assert.equal(await app.sendTask("math.add", [1, 2]), 3);
    assert.equal(await app.sendTask("math.mul", [1, 2]), "mine");
    await assert.rejects(app.sendTask("math.sub").get(), { name: "NotRegistered" });
  });

  it("lets tasks and their callers talk while they run", async () => {
    const { app, idle } = await start({
      tasks: {
        t: {
          echo: task({ bind: true }, async (ctx) => {
            let current = 0;
            for await (const word of ctx.messages<string>()) {
              ctx.progress({ current: ++current });
              await ctx.send(`${word}!`);
            }
          }),
        },
      },
    });
    const result = app.sendTask("t.echo");
    const progress: unknown[] = [];
    result.onProgress(({ current }) => progress.push(current));
    await result.send("one");
    await result.send("two");
    await result.sendEnd();
    await idle();
    const heard: string[] = [];
    for await (const word of result.messages<string>()) heard.push(word);
    assert.deepEqual(heard, ["one!", "two!"]);
    assert.deepEqual(progress, [1, 2]);
  });

  it("hands tasks their context, and their callers their errors", async () => {
    const { app, idle, worker } = await start({
      tasks: {
        t: {
          who: () => [currentTask()!.name, currentTask()!.isEager, currentTask()!.hostname],
          fail: () => {
            throw new RangeError("no");
          },
          tell: task({ bind: true }, async (ctx) => {
            ctx.updateState({ state: "HALF", meta: 50 });
            await new Promise((resolve) => setTimeout(resolve, 5));
          }),
        },
      },
    });
    assert.deepEqual(await app.sendTask("t.who"), ["t.who", false, "celery@testing"]);
    const error = await app.sendTask("t.fail").get({ propagate: false });
    assert.ok(error instanceof TaskError);
    assert.match(error.traceback!, /testing_test\.ts:\d+/);
    const telling = app.sendTask("t.tell");
    await idle();
    assert.equal(await telling.status, "SUCCESS");
    assert.deepEqual([worker.counts.succeeded, worker.counts.failed], [2, 1]);
  });

  it("lets countdowns, ETAs and expiries come in their order when time is advanced", async () => {
    const ran: string[] = [];
    const { app, advance, clock, idle } = await start({
      now: new Date("2026-03-01T12:00:00Z"),
      tasks: {
        t: {
          note: (what: string) =>
            void ran.push(`${what} ${new Date(clock.now()).toISOString().slice(11, 19)}`),
        },
      },
    });
    const call = (what: string, options: object) => app.sendTask("t.note", [what], {}, options);
    call("in an hour", { countdown: 3600 });
    call("soon", { countdown: 2 });
    call("at one", { eta: new Date("2026-03-01T13:00:01Z") });
    const late = call("too late", { countdown: 120, expires: 60 });
    await idle();
    assert.deepEqual(ran, []);
    await advance(2);
    assert.deepEqual(ran, ["soon 12:00:02"]);
    await advance(3597);
    assert.equal(ran.length, 1);
    assert.equal(await late.status, "REVOKED");
    await advance(86_400);
    assert.deepEqual(ran.slice(1), ["in an hour 13:00:00", "at one 13:00:01"]);
  });

  it("is idle when what tasks call has run, too", async () => {
    const ran: number[] = [];
    const { app, idle } = await start({
      tasks: {
        t: {
          down: async (n: number): Promise<void> => {
            await new Promise((resolve) => setTimeout(resolve, 1));
            ran.push(n);
            if (n > 0) app.sendTask("t.down", [n - 1]);
          },
        },
      },
    });
    app.sendTask("t.down", [20]);
    await idle();
    assert.equal(ran.length, 21);
  });

  it("is the default app until it is closed", async () => {
    const before = new App({ broker: "memory:before" });
    setDefaultApp(before);
    const add = task({ name: "mine.add" }, (x: number) => x + 1);
    const testing = await start({ tasks: { mine: { add } } });
    assert.equal(await add.delay(1), 2);
    await testing.close();
    assert.equal(defaultApp(), before);
  });

  it("begins each time with nothing", async () => {
    const first = await start({ tasks: { t: { a: () => 1 } } });
    const { id } = first.app.sendTask("t.a");
    await first.idle();
    const second = await start({ tasks: { t: { a: () => 1 } } });
    assert.equal(await second.app.AsyncResult(id).status, "PENDING");
  });

  it("does not wait for what runs when time is advanced, and for all of it when it is to be idle", async () => {
    let goOn = () => {};
    const { app, worker, advance, idle } = await start({
      slots: 1,
      tasks: { t: { wait: () => new Promise<void>((resolve) => goOn = resolve), quick: () => "quick" } },
    });
    const waiting = app.sendTask("t.wait");
    const behind = app.sendTask("t.quick");
    await advance(10);
    assert.equal(worker.running, 1);
    goOn();
    await idle();
    assert.deepEqual([await waiting.status, await behind], ["SUCCESS", "quick"]);
  });
});
after(() => setDefaultApp(new App({ broker: "memory:after" })));
