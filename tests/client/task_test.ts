/** A function made a task: called it runs here, sent it runs elsewhere. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { App, currentTask, setDefaultApp, type Task, task } from "../../mod.ts";
import * as errands from "./errands.ts";
import { freshBroker, published } from "./inbox.ts";

describe("a function made a task", () => {
  it("is still that function", async () => {
    assert.equal(errands.run("town"), "ran to town fast");
    assert.equal(errands.run("town", "slowly"), "ran to town slowly");
    assert.deepEqual(await errands.fetchMail(3), [3]);
    assert.throws(() => errands.fail(), { name: "RangeError", message: "out of tea" });
  });

  it("is handed a context of its own when it asks for one", () => {
    assert.deepEqual(errands.report("all"), {
      what: "all",
      name: "errands.tell",
      args: ["all"],
      eager: true,
      same: true,
    });
    assert.equal(currentTask(), undefined);
  });

  it("has its options", () => {
    assert.deepEqual(errands.run.options, {});
    assert.deepEqual(errands.fetchMail.options, { queue: "post" });
  });

  it("keeps its types", () => {
    const types = () => {
      const text: string = errands.run("town");
      // @ts-expect-error: the place is a text
      errands.run(1);
      // @ts-expect-error: it is missing
      errands.run.delay();
      // @ts-expect-error: the context is not the caller's to give
      errands.report({}, "all");
      // @ts-expect-error: a bound function takes its context first
      task({ bind: true }, (name: string) => name);
      const boxes: Task<[box: number], Promise<number[]>> = errands.fetchMail;
      const promise: PromiseLike<number[]> = errands.fetchMail.delay(1);
      return [text, boxes, promise];
    };
    assert.equal(typeof types, "function");
  });

  it("must be a function", () => {
    const make = task as (...given: unknown[]) => unknown;
    const message = "task() takes a function, or options and a function; it was given";
    assert.throws(() => make(), { name: "TypeError", message: `${message} undefined` });
    assert.throws(() => make({ queue: "post" }), { message: `${message} object` });
    assert.throws(() => make({ queue: "post" }, "run"), { message: `${message} string` });
  });
});

describe("a task that is sent", () => {
  let app: App;
  before(() => {
    app = new App({ broker: freshBroker() });
    setDefaultApp(app);
  });
  after(() => app.disconnect());

  it("has the name of its file and export, and goes by its options", async () => {
    const ran = errands.run.delay("town");
    const mailed = errands.fetchMail.applyAsync({ args: [3], priority: 2 });
    const told = errands.report.delay("all");
    const swept = (await import("./errands.ts")).sweep.delay();
    assert.equal(ran.taskName, "errands.run");
    assert.equal(ran.returnValue, undefined);
    await Promise.all([ran, mailed, told, swept].map((result) => result.published));
    const sent = (await published(app, "celery", "post")).map(({ queue, request }) =>
      [queue, request.task, request.args, request.id, request.priority] as const
    );
    assert.deepEqual(
      new Set(sent),
      new Set([
        ["celery", "errands.run", ["town"], ran.id, 0],
        ["post", "errands.fetchMail", [3], mailed.id, 2],
        ["celery", "errands.tell", ["all"], told.id, 0],
        ["celery", "errands.sweep", [], swept.id, 0],
      ]),
    );
  });

  it("must have a name", async () => {
    const result = errands.hidden().task.delay();
    await assert.rejects(result.published, {
      name: "TypeError",
      message: /errands\.ts has no name: export it/,
    });
    await assert.rejects(result.get(), /has no name/);
  });
});
