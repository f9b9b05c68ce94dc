/** What a call says, and what it becomes on the wire. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { App, type AppOptions } from "../../runtime/client/app.ts";
import type { ApplyOptions, CallOptions } from "../../runtime/client/call.ts";
import { task } from "../../runtime/client/task.ts";
import type { TaskOptions } from "../../runtime/isolate/task_definition.ts";
import { FakeClock } from "../fake_clock.ts";
import { freshBroker, published } from "./inbox.ts";

const NOW = Date.UTC(2026, 4, 1, 12, 30, 15, 250);

describe("a call on the wire", () => {
  let app: App;
  before(() => {
    app = new App({ broker: freshBroker(), clock: new FakeClock(NOW) });
  });
  after(() => app.disconnect());

  async function sent(options: CallOptions, queue = "celery") {
    await app.sendTask("shop.buy", ["tea", 2], { gift: true }, options).published;
    const [message, ...more] = await published(app, queue);
    assert.deepEqual(more, []);
    return message;
  }

  it("carries its name, arguments and id to the default queue", async () => {
    const result = app.sendTask("shop.buy", ["tea", 2], { gift: true });
    await result.published;
    const [{ queue, request, envelope }] = await published(app, "celery");
    assert.equal(queue, "celery");
    assert.equal(request.task, "shop.buy");
    assert.deepEqual(request.args, ["tea", 2]);
    assert.deepEqual(request.kwargs, { gift: true });
    assert.equal(request.id, result.id);
    assert.equal(request.rootId, result.id);
    assert.equal(request.parentId, null);
    assert.equal(request.protocol, 2);
    assert.equal(envelope.contentType, "application/json");
    assert.equal(request.ignoreResult, false);
    assert.equal(request.eta, null);
    assert.equal(request.expires, null);
    assert.deepEqual(request.timeLimit, [null, null]);
    assert.deepEqual(request.headers, {});
  });

  it("has the id that it was given", async () => {
    const { request, envelope } = await sent({ taskId: "order-1" });
    assert.equal(request.id, "order-1");
    assert.equal(envelope.properties.correlation_id, "order-1");
  });

  it("starts after a countdown, or at its eta, which wins", async () => {
    assert.equal((await sent({ countdown: 1.5 })).request.eta, NOW + 1500);
    const eta = new Date(NOW + 60_000);
    assert.equal((await sent({ eta })).request.eta, eta.getTime());
    assert.equal((await sent({ eta, countdown: 1 })).request.eta, eta.getTime());
  });

  it("expires after seconds or at a time", async () => {
    assert.equal((await sent({ expires: 10 })).request.expires, NOW + 10_000);
    const expires = new Date(NOW + 3_600_000);
    assert.equal((await sent({ expires })).request.expires, expires.getTime());
  });

  it("goes to its queue, with its priority", async () => {
    const { queue, request, envelope } = await sent({ queue: "orders", priority: 3 }, "orders");
    assert.equal(queue, "orders");
    assert.equal(request.priority, 3);
    assert.equal(envelope.properties.priority, 3);
  });

  it("goes by its routing key and exchange", async () => {
    assert.equal((await sent({ queue: "orders", routingKey: "returns" }, "returns")).queue, "returns");
    await (await app.transport()).bind("trade", "tea", "warehouse");
    const { queue, request } = await sent({ exchange: "trade", routingKey: "tea" }, "warehouse");
    assert.equal(queue, "warehouse");
    assert.equal(request.exchange, "trade");
    assert.equal(request.routingKey, "tea");
  });

  it("brings its own headers along", async () => {
    const { request } = await sent({ headers: { customer: "Ada", trace: { depth: 2 } } });
    assert.deepEqual(request.headers, { customer: "Ada", trace: { depth: 2 } });
  });

  it("is serialized and compressed as asked", async () => {
    const { envelope, request } = await sent({ serializer: "msgpack", compression: "zlib" });
    assert.equal(envelope.contentType, "application/x-msgpack");
    assert.equal(envelope.headers.compression, "application/x-gzip");
    assert.deepEqual(request.args, ["tea", 2]);
    assert.deepEqual(request.kwargs, { gift: true });
  });

  it("says its limits, its other name, whom to reply to, and that no result is wanted", async () => {
    const { request } = await sent({
      timeLimit: 30,
      softTimeLimit: 20,
      shadow: "buy tea",
      replyTo: "replies",
      ignoreResult: true,
    });
    assert.deepEqual(request.timeLimit, [30, 20]);
    assert.equal(request.shadow, "buy tea");
    assert.equal(request.replyTo, "replies");
    assert.equal(request.ignoreResult, true);
    assert.deepEqual((await sent({ softTimeLimit: 5 })).request.timeLimit, [null, 5]);
  });

  it("takes what applyAsync is given as arguments", async () => {
    const buy = app.module<{ buy(what: string, count: number): void }>("shop").buy;
    await buy.applyAsync({ args: ["tea", 3], kwargs: { gift: true }, priority: 4 }).published;
    await buy.applyAsync().published;
    const [none, full] = (await published(app, "celery")).map(({ request }) => request);
    assert.deepEqual(none.args, []);
    assert.deepEqual(full.args, ["tea", 3]);
    assert.deepEqual(full.kwargs, { gift: true });
    assert.equal(full.priority, 4);
  });

  it("is refused at once when it can't be written, with the path of what can't", () => {
    const send = (args: unknown[], options?: CallOptions) => () =>
      app.sendTask("shop.buy", args, {}, options);
    assert.throws(send([{ list: [1, () => 2] }]), {
      name: "UnserializableError",
      message: /args\[0\]\.list\[1\]/,
    });
    assert.throws(send([], { headers: { trace: { next: () => 1 } } }), {
      name: "UnserializableError",
      message: /headers\.trace\.next/,
    });
    assert.throws(send([], { priority: 10 }), {
      name: "RangeError",
      message: "priority is 10, but must be a whole number from 0 to 9",
    });
    assert.throws(
      send([], { countdown: NaN }),
      /^RangeError: countdown is NaN, but must be a number of seconds$/,
    );
    assert.throws(send([], { eta: new Date("tomorrow") }), /^RangeError: eta is an invalid date$/);
    assert.throws(send([], { expires: new Date(NaN) }), /^RangeError: expires is an invalid date$/);
    assert.throws(send([], { serializer: "pickle" }), /pickle/);
    assert.throws(send([], { compression: "rar" }), /rar/);
  });
});

describe("where the call, the task, its route and the settings disagree", () => {
  const everywhere = (mark: number, name: string) => ({ priority: mark, queue: name, expires: mark * 100 });

  async function sent(options: ApplyOptions, own: TaskOptions, settings: AppOptions, queue: string) {
    const app = new App({ broker: freshBroker(), clock: new FakeClock(NOW), ...settings });
    try {
      await app.applyTask("shop.buy", own, options).published;
      const [message] = await published(app, queue);
      assert.ok(message, `nothing arrived in ${queue}`);
      return message;
    } finally {
      await app.disconnect();
    }
  }

  const call: ApplyOptions = { ...everywhere(1, "by-call"), serializer: "msgpack", compression: "gzip" };
  const own: TaskOptions = { ...everywhere(2, "by-task"), serializer: "json", compression: "zlib" };
  const settings: AppOptions = {
    taskRoutes: { "shop.*": { ...everywhere(3, "by-route"), serializer: "msgpack", compression: "brotli" } },
    taskDefaultQueue: "by-default",
    taskDefaultPriority: 4,
    taskSerializer: "msgpack",
    taskCompression: "brotli",
  };

  it("the call wins over all", async () => {
    const { request, envelope } = await sent(call, own, settings, "by-call");
    assert.equal(request.priority, 1);
    assert.equal(request.expires, NOW + 100_000);
    assert.equal(envelope.contentType, "application/x-msgpack");
    assert.equal(envelope.headers.compression, "application/x-gzip");
  });

  it("the task wins over its route", async () => {
    const { request, envelope } = await sent({}, own, settings, "by-task");
    assert.equal(request.priority, 2);
    assert.equal(request.expires, NOW + 200_000);
    assert.equal(envelope.contentType, "application/json");
    assert.equal(envelope.headers.compression, "application/x-gzip");
  });

  it("its route wins over the settings", async () => {
    const { request, envelope } = await sent({}, {}, settings, "by-route");
    assert.equal(request.priority, 3);
    assert.equal(request.expires, NOW + 300_000);
    assert.equal(envelope.headers.compression, "application/x-brotli");
  });

  it("the settings hold where nobody else says anything", async () => {
    const { request, envelope } = await sent({}, {}, { ...settings, taskRoutes: null }, "by-default");
    assert.equal(request.priority, 4);
    assert.equal(request.expires, null);
    assert.equal(envelope.contentType, "application/x-msgpack");
    assert.equal(envelope.headers.compression, "application/x-brotli");
  });

  it("each option is decided for itself", async () => {
    const { request } = await sent({ priority: 1 }, { expires: 200 }, settings, "by-route");
    assert.equal(request.priority, 1);
    assert.equal(request.expires, NOW + 200_000);
  });

  it("a task that ignores its result may be asked for one", async () => {
    const ignored = async (options: ApplyOptions, own: TaskOptions, taskIgnoreResult: boolean) =>
      (await sent(options, own, { taskIgnoreResult }, "celery")).request.ignoreResult;
    assert.equal(await ignored({}, {}, true), true);
    assert.equal(await ignored({}, { ignoreResult: false }, true), false);
    assert.equal(await ignored({ ignoreResult: false }, { ignoreResult: true }, false), false);
  });

  it("a route may look at the arguments", async () => {
    const taskRoutes: AppOptions["taskRoutes"] = (name, args, kwargs) =>
      name === "shop.buy" && args.length === 0 && kwargs.size === "large" ? "large" : null;
    await sent({ kwargs: { size: "large" } }, {}, { taskRoutes }, "large");
    await sent({ args: ["tea"], kwargs: { size: "large" } }, {}, { taskRoutes }, "celery");
  });

  it("a task's own options are those of task()", async () => {
    const buy = task({ name: "shop.buy", queue: "by-task", priority: 7 }, (what: string) => what);
    assert.deepEqual(buy.options, { name: "shop.buy", queue: "by-task", priority: 7 });
    assert.equal((await sent({}, buy.options, settings, "by-task")).request.priority, 7);
  });
});
