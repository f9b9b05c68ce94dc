/** How calls go out: in batches, and in their own time while the broker is away. */
import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { configureSync, type LogRecord, resetSync } from "@logtape/logtape";
import { App, type AppOptions } from "../../runtime/client/app.ts";
import type { CallOptions } from "../../runtime/client/call.ts";
import { Publisher } from "../../runtime/client/publisher.ts";
import { encodeTask } from "../../runtime/protocol/task_message.ts";
import { BrokerUnavailableError, type Transport } from "../../runtime/transport/transport.ts";
import { FakeClock } from "../fake_clock.ts";
import { freePort, startRedis } from "../servers/redis.ts";
import { freshBroker, published } from "./inbox.ts";

const apps: App[] = [];
afterEach(async () => {
  for (const app of apps.splice(0)) await app.disconnect();
});

function newApp(options: AppOptions): App {
  const app = new App({ random: () => 0.5, ...options });
  apps.push(app);
  return app;
}

/** Notes how many messages each batch carries, on their way to the broker. */
function batchesOf(transport: Transport): number[] {
  const sizes: number[] = [];
  const publish = transport.publish.bind(transport);
  transport.publish = (messages) => {
    sizes.push(messages.length);
    return publish(messages);
  };
  return sizes;
}

const noteOf = (app: App, options: CallOptions = {}) => app.sendTask("diary.note", ["hello"], {}, options);

describe("calls of one tick", () => {
  it("go out as one batch, in their order", async () => {
    const app = newApp({ broker: freshBroker() });
    const sizes = batchesOf(await app.transport());
    const results = [1, 2, 3].map((line) => app.sendTask("diary.note", [line]));
    await Promise.all(results.map((result) => result.published));
    assert.deepEqual(sizes, [3]);
    const lines = (await published(app, "celery")).map(({ request }) => request.args[0]);
    assert.deepEqual(lines, [1, 2, 3]);
  });

  it("go out in batches of a thousand when they are many", async () => {
    const app = newApp({ broker: freshBroker() });
    const sizes = batchesOf(await app.transport());
    await Promise.all(Array.from({ length: 2500 }, () => noteOf(app).published));
    assert.deepEqual(sizes, [1000, 1000, 500]);
  });

  it("wait for the batch that is under way, and go together then", async () => {
    const app = newApp({ broker: freshBroker() });
    const sizes = batchesOf(await app.transport());
    const first = noteOf(app);
    await Promise.resolve();
    await Promise.resolve();
    const later = [noteOf(app), noteOf(app)];
    await Promise.all([first, ...later].map((result) => result.published));
    assert.deepEqual(sizes, [1, 2]);
  });

  it("are refused when too many wait, so that memory does not run out", async () => {
    const away = () => new Promise<Transport>(() => {});
    const publisher = new Publisher(away, new FakeClock(), Math.random);
    const message = encodeTask({ id: "1", task: "diary.note", args: [], kwargs: {}, queue: "celery" });
    for (let i = 0; i < 250_000; i++) publisher.publish(message, 10);
    await new Promise(setImmediate);
    for (let i = 0; i < 1000; i++) publisher.publish(message, 10);
    await assert.rejects(publisher.publish(message, 10), {
      name: "RangeError",
      message: "250000 calls wait to be published already: await some (`await result.published`) first",
    });
  });
});

describe("a batch whose answer was lost", () => {
  it("goes out again, marked as perhaps a second copy", async () => {
    const app = newApp({ broker: freshBroker() });
    const transport = await app.transport();
    const publish = transport.publish.bind(transport);
    transport.publish = async (messages) => {
      transport.publish = publish;
      await publish(messages);
      throw new BrokerUnavailableError("cut off before the answer came");
    };
    await noteOf(app).published;
    const copies = (await published(app, "celery")).map(({ request }) => request);
    assert.deepEqual(copies.map(({ redelivered }) => redelivered), [false, true]);
    assert.equal(copies[0].id, copies[1].id);
  });
});

describe("a call while the broker is away", () => {
  /** Lets time pass until `promise` is settled, but not while a connection is tried; tells how many ms it took. */
  async function timeOf(clock: FakeClock, promise: Promise<unknown>): Promise<number> {
    const start = clock.monotonic();
    let settled = false;
    const end = () => void (settled = true);
    promise.then(end, end);
    while (!settled) {
      if (clock.pending > 0) await clock.advance(10);
      else await new Promise(setImmediate);
    }
    return clock.monotonic() - start;
  }

  async function awayApp(clock: FakeClock, options: AppOptions = {}) {
    const port = await freePort();
    return { port, app: newApp({ broker: `redis://ada:s3cret@127.0.0.1:${port}/0`, clock, ...options }) };
  }

  it("fails after publishTimeout, naming the broker and the reason but no password", async () => {
    const clock = new FakeClock();
    const { app, port } = await awayApp(clock, { publishTimeout: 3 });
    const { published } = noteOf(app);
    const took = await timeOf(clock, published);
    assert.ok(took >= 3000 && took < 3500, `${took} ms`);
    await assert.rejects(published, (error) => {
      assert.ok(error instanceof BrokerUnavailableError);
      assert.match(error.message, new RegExp(`redis://ada:\\*\\*@127\\.0\\.0\\.1:${port}`));
      assert.match(error.message, /ECONNREFUSED|refused/i);
      assert.doesNotMatch(String(error.stack) + String(error.cause), /s3cret/);
      return true;
    });
  });

  it("has a time of its own", async () => {
    const clock = new FakeClock();
    const { app } = await awayApp(clock, { publishTimeout: 60 });
    const long = noteOf(app);
    long.published.catch(() => {});
    const short = await timeOf(clock, noteOf(app, { publishTimeout: 1 }).published);
    assert.ok(short >= 1000 && short < 1500, `${short} ms`);
    const none = await timeOf(clock, noteOf(app, { retry: false }).published);
    assert.ok(none < 1500, `${none} ms`);
    const both = await timeOf(clock, noteOf(app, { retry: false, publishTimeout: 5 }).published);
    assert.ok(both < 1500, `${both} ms`);
    await timeOf(clock, long.published);
    assert.ok(clock.monotonic() >= 60_000);
  });

  it("fails whoever waits for its result, too", async () => {
    const clock = new FakeClock();
    const { app } = await awayApp(clock, { publishTimeout: 1 });
    const result = noteOf(app);
    const value = result.get();
    await timeOf(clock, Promise.allSettled([value, result.published]));
    await assert.rejects(value, BrokerUnavailableError);
    await assert.rejects(result.get({ timeout: 5 }), BrokerUnavailableError);
    await assert.rejects(Promise.resolve(result), BrokerUnavailableError);
  });

  it("goes out when the broker is back in time", async () => {
    const server = await startRedis({ appendonly: true });
    try {
      await server.kill();
      const app = newApp({ broker: server.url, publishTimeout: 30 });
      const early = noteOf(app);
      await server.start();
      await early.published;
      await server.kill();
      const late = [noteOf(app), noteOf(app)];
      await server.start();
      await Promise.all(late.map((result) => result.published));
      const ids = (await published(app, "celery")).map(({ request }) => request.id);
      assert.deepEqual(ids, [early, ...late].map((result) => result.id));
    } finally {
      await server.stop();
    }
  });

  it("fails at once when trying again is of no use", async () => {
    const server = await startRedis({ password: "right" });
    try {
      const app = newApp({ broker: server.url.replace("right", "wr0ng"), clock: new FakeClock() });
      await assert.rejects(noteOf(app).published, (error) => {
        assert.ok(error instanceof BrokerUnavailableError);
        assert.equal(error.permanent, true);
        assert.match(error.message, /password/i);
        assert.doesNotMatch(error.message, /wr0ng/);
        return true;
      });
      await assert.rejects(newApp({ broker: "gopher://there" }).sendTask("diary.note").published, {
        name: "BadUrlError",
        message: /there is no broker "gopher"/,
      });
    } finally {
      await server.stop();
    }
  });
});

describe("a call that could not be published", () => {
  async function logged(run: () => Promise<void>): Promise<string[]> {
    const lines: string[] = [];
    configureSync({
      sinks: { lines: (record: LogRecord) => void lines.push(`${record.level}: ${record.message.join("")}`) },
      loggers: [
        { category: "celeriac", lowestLevel: "debug", sinks: ["lines"] },
        { category: ["logtape", "meta"], lowestLevel: "error", sinks: [] },
      ],
    });
    try {
      await run();
      await new Promise(setImmediate);
      return lines;
    } finally {
      resetSync();
    }
  }

  const hopeless = () => newApp({ broker: "gopher://there" });

  it("is logged once when nobody looks at it", async () => {
    let id = "";
    const lines = await logged(async () => {
      const app = hopeless();
      id = noteOf(app).id;
      await app.disconnect();
    });
    assert.equal(lines.length, 1, lines.join("\n"));
    assert.match(lines[0], /^error: Task diary\.note\[[\w-]+\] could not be published: BadUrlError: gopher/);
    assert.ok(lines[0].includes(id));
  });

  it("is not logged when somebody looks at its publication or waits for its result", async () => {
    const lines = await logged(async () => {
      const app = hopeless();
      await assert.rejects(noteOf(app).published, { name: "BadUrlError" });
      await assert.rejects(noteOf(app).get(), { name: "BadUrlError" });
    });
    assert.deepEqual(lines, []);
  });

  it("is told of on standard error by a program that has set up no log", async () => {
    const said: unknown[] = [];
    const { error } = console;
    console.error = (line: unknown) => void said.push(line);
    try {
      const app = hopeless();
      noteOf(app);
      await app.disconnect();
      await new Promise(setImmediate);
    } finally {
      console.error = error;
    }
    assert.equal(said.length, 1);
    assert.match(String(said[0]), /^Task diary\.note\[.+\] could not be published: BadUrlError/);
  });
});
