/** The app itself: its settings, its connections, and the one that tasks send through. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import process from "node:process";
import { App, type AppOptions } from "../../runtime/client/app.ts";
import { defaultApp, setDefaultApp, task } from "../../runtime/client/task.ts";
import { SettingsError } from "../../runtime/config/resolve.ts";
import { FakeClock } from "../fake_clock.ts";
import { freePort } from "../servers/redis.ts";
import { freshBroker, published } from "./inbox.ts";

/** Runs with these variables of the environment and none of the project's others. */
function withEnvironment<T>(variables: Record<string, string>, run: () => T): T {
  const before = { ...process.env };
  for (const name of Object.keys(process.env)) if (/^CELER(IAC|Y)_/.test(name)) delete process.env[name];
  Object.assign(process.env, variables);
  try {
    return run();
  } finally {
    for (const name of Object.keys(variables)) delete process.env[name];
    Object.assign(process.env, before);
  }
}

describe("an app's settings", () => {
  const settings = (options?: AppOptions, environment = {}) =>
    withEnvironment(environment, () => new App(options).settings);

  it("have their defaults", () => {
    const { brokerUrl, resultBackend, taskDefaultQueue, publishTimeout, resultExpires } = settings();
    assert.deepEqual(
      { brokerUrl, resultBackend, taskDefaultQueue, publishTimeout, resultExpires },
      {
        brokerUrl: "sqlite:./celeriac.db",
        resultBackend: null,
        taskDefaultQueue: "celery",
        publishTimeout: 10,
        resultExpires: 86_400,
      },
    );
  });

  it("come from the environment, and what is given goes before it", () => {
    const environment = { CELERIAC_BROKER_URL: "redis://one", CELERIAC_RESULT_BACKEND: "redis://two" };
    assert.equal(settings({}, environment).brokerUrl, "redis://one");
    assert.equal(settings({}, environment).resultBackend, "redis://two");
    assert.equal(settings({ broker: "memory:" }, environment).brokerUrl, "memory:");
    assert.equal(settings({ backend: "memory:" }, environment).resultBackend, "memory:");
  });

  it("may be given by their own names, and in part", () => {
    const given = settings({
      brokerUrl: "memory:",
      brokerTransportOptions: { lease: 5 },
      taskDefaultQueue: "work",
    });
    assert.equal(given.brokerUrl, "memory:");
    assert.equal(given.brokerTransportOptions.lease, 5);
    assert.equal(given.brokerTransportOptions.visibilityTimeout, 3600);
    assert.equal(given.taskDefaultQueue, "work");
  });

  it("are checked: each error names the setting, its place and what it may be", () => {
    const refused = (options: object, message: RegExp) =>
      assert.throws(() => settings(options as AppOptions), (error) => {
        assert.ok(error instanceof SettingsError);
        assert.match(error.message, message);
        assert.match(error.message, /new App\(\)/);
        return true;
      });
    refused({ taskDefaultQeue: "work" }, /taskDefaultQeue.*taskDefaultQueue/s);
    refused({ resultExpires: "1 day" }, /resultExpires.*a number of seconds, 0 or more/s);
    refused({ taskSerializer: "pickle" }, /taskSerializer.*"json" or "msgpack"/s);
    refused({ brokerTransportOptions: { lease: 0 } }, /lease.*above 0/s);
  });
});

describe("an app", () => {
  it("can be used again after it was disconnected", async () => {
    const app = new App({ broker: freshBroker() });
    await app.sendTask("diary.note", [1]).published;
    await app.disconnect();
    await app.sendTask("diary.note", [2]).published;
    const lines = (await published(app, "celery")).map(({ request }) => request.args[0]);
    assert.deepEqual(lines, [1, 2]);
    await app.disconnect();
  });

  it("publishes what was called before it disconnects", async () => {
    const broker = freshBroker();
    const app = new App({ broker });
    for (let line = 0; line < 2000; line++) app.sendTask("diary.note", [line]);
    await app[Symbol.asyncDispose]();
    const other = new App({ broker });
    const [{ ready }] = await (await other.transport()).lengths(["celery"]);
    assert.equal(ready, 2000);
    await other.disconnect();
  });

  it("ends what still connects when it disconnects", async () => {
    const app = new App({ broker: `redis://127.0.0.1:${await freePort()}`, clock: new FakeClock() });
    const connecting = assert.rejects(app.transport(), {
      message: "the app was disconnected while it connected",
    });
    const waiting = app.AsyncResult("some-id").get();
    const rejected = assert.rejects(waiting, {
      message: "the app was disconnected while a result was waited for",
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    await app.disconnect();
    await Promise.all([connecting, rejected]);
  });

  it("has keys with the prefix that its store has", () => {
    const app = new App({ broker: "memory:", backend: "redis://localhost/0?global_keyprefix=shop%3A" });
    assert.equal(app.AsyncResult("1").key, "shop:celery-task-meta-1");
  });
});

describe("the default app", () => {
  it("is made of the environment once, unless another is set", async () => {
    const broker = freshBroker();
    const first = withEnvironment({ CELERIAC_BROKER_URL: broker }, () => defaultApp());
    assert.equal(first.settings.brokerUrl, broker);
    assert.equal(defaultApp(), first);
    const chosen = new App({ broker: freshBroker() });
    setDefaultApp(chosen);
    assert.equal(defaultApp(), chosen);

    const note = task({ name: "diary.note" }, (line: string) => line);
    await note.delay("hello").published;
    assert.deepEqual((await published(chosen, "celery")).map(({ request }) => request.args), [["hello"]]);
    await chosen.disconnect();
  });
});
