/** Messages on Redis beside other clients: in Python, in great numbers, and where the server keeps something from us. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, beforeEach, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import { App, BrokerUnavailableError, Consumer, Producer } from "../../mod.ts";
import { eventually, within } from "../conformance/patience.ts";
import { python } from "../servers/python.ts";
import { type RedisServer, startRedis } from "../servers/redis.ts";
import { follow } from "../servers/worker.ts";
import { setUp } from "../worker/in_process.ts";

const SOON = 20_000;
/** Seconds between two looks that no test waits for: what comes in time was pushed. */
const NEVER = 3_600;

let redis: RedisServer;
let admin: Redis;
let interpreter: string;

before(async () => {
  [redis, interpreter] = await Promise.all([startRedis(), python()]);
  admin = new Redis(redis.port);
});
beforeEach(() => admin.flushall());
after(async () => {
  await admin.quit();
  await redis.stop();
});

function inPython(...args: string[]) {
  const file = fileURLToPath(new URL("./end.py", import.meta.url));
  return follow(spawn(interpreter, [file, redis.url, ...args], { stdio: ["ignore", "pipe", "pipe"] }));
}

describe("messages on Redis and Python", () => {
  it("a plain RPUSH in Python is heard at once", async () => {
    const consumer = new Consumer<{ n: number; text: string }>("t", { url: redis.url, pollInterval: NEVER });
    const first = consumer.get();
    // It waits by then.
    await eventually(async () => assert.match(await admin.info("stats"), /tracking_total_keys:[1-9]/));
    const sender = inPython("send", "celeriac.to-client.t", "500");
    assert.deepEqual(await within(SOON, first, "the first message"), { n: 0, text: "Grüße" });
    let n = 0;
    for await (const message of consumer) assert.equal(message.n, ++n);
    assert.equal(n, 499);
    assert.equal(await sender.exited, 0);
    await consumer.close();
    assert.deepEqual(await admin.keys("*"), []);
  });

  it("a plain BLPOP in Python reads what is sent", async () => {
    const reader = inPython("read", "celeriac.to-task.t");
    const producer = new Producer("t", { url: redis.url, direction: "to-task" });
    const messages = [1, "Grüße ✓", null, { a: [true, 1.5] }, []];
    await producer.sendMessages(messages);
    await producer.end();
    await producer.close();
    assert.equal(await reader.exited, 0);
    assert.deepEqual(reader.lines.map((line) => JSON.parse(line)), messages);
  });

  it("a task in TypeScript talks with a caller that has redis-py alone", async () => {
    const set = setUp({}, redis.url);
    try {
      await set.worker(["tests/channel/tasks.ts"]);
      const result = set.app.sendTask("tasks.echo");
      const other = inPython("read", `celeriac.to-client.${result.id}`);
      for (const word of ['"one"', '"two"', ""]) await admin.rpush(`celeriac.to-task.${result.id}`, word);
      assert.equal(await within(SOON, other.exited, "the end in Python"), 0);
      assert.deepEqual(other.lines, ['"ONE"', '"TWO"']);
      assert.equal(await result, 2);
    } finally {
      await set.close();
    }
  });

  it("a caller in TypeScript talks with a task in Python", async () => {
    const app = new App({ broker: redis.url });
    const result = app.AsyncResult("p");
    const other = inPython("answer", "celeriac.to-task.p", "celeriac.to-client.p");
    await result.send(21);
    await result.send("ha");
    await result.sendEnd();
    const read: unknown[] = [];
    for await (const message of result.messages()) read.push(message);
    assert.deepEqual(read, [42, "haha"]);
    assert.equal(await other.exited, 0);
    await app.disconnect();
  });

  it("a text that is no JSON comes as the text that it is", async () => {
    await admin.rpush("celeriac.to-client.t", "plain words", '{"a": NaN}', "12345678901234567890");
    const consumer = new Consumer("t", { url: redis.url });
    assert.deepEqual([await consumer.get(), await consumer.get(), await consumer.get()], [
      "plain words",
      { a: NaN },
      12345678901234567890n,
    ]);
    await consumer.close();
  });

  it("stands under the URL's prefix", async () => {
    const url = `${redis.url}?global_keyprefix=shop.`;
    const producer = new Producer("t", { url });
    await producer.sendMessage(1);
    await producer.close();
    assert.deepEqual(await admin.lrange("shop.celeriac.to-client.t", 0, -1), ["1"]);
    assert.ok(await admin.pttl("shop.celeriac.to-client.t") > 86_000_000);
  });
});

describe("connections for messages on Redis", () => {
  const count = async () => Number(/connected_clients:(\d+)/.exec(await admin.info("clients"))![1]) - 1;

  it("are two, however many wait", async () => {
    const ids = Array.from({ length: 10_000 }, (_, n) => `t${n}`);
    const consumers = ids.map((id) => new Consumer<string>(id, { url: redis.url, pollInterval: NEVER }));
    const waited = Promise.all(consumers.map((consumer) => consumer.get()));
    // All of them have looked once, and so the server knows their lists.
    await eventually(async () => {
      assert.match(await admin.info("stats"), /tracking_total_keys:[2-9]\d{4}/);
    }, 60_000);
    assert.equal(await count(), 2);
    const push = admin.pipeline();
    for (const id of ids) push.rpush(`celeriac.to-client.${id}`, JSON.stringify(id));
    await push.exec();
    assert.deepEqual(await within(60_000, waited, "all messages"), ids);
    assert.equal(await count(), 2);
    await Promise.all(consumers.map((consumer) => consumer.close()));
    await eventually(async () => assert.equal(await count(), 0));
  });

  it("close by themselves where nobody closes them", async () => {
    await new Producer("t", { url: redis.url }).sendMessage("one");
    assert.equal(await new Consumer("t", { url: redis.url }).get(), "one");
    assert.ok(await count() > 0);
    await eventually(async () => assert.equal(await count(), 0));
  });

  it("say what is wrong where there is no server", async () => {
    const url = "redis://127.0.0.1:1/0";
    const consumer = new Consumer("t", { url });
    await assert.rejects(consumer.get({ timeout: 0 }), BrokerUnavailableError);
    await consumer.close();
  });
});

describe("a Redis that does not tell of changes", () => {
  it("is asked each pollInterval", async () => {
    await admin.call(..."acl setuser plain on >secret ~* +@all -client|tracking".split(" ") as [string]);
    const url = redis.url.replace("redis://", "redis://plain:secret@");
    const consumer = new Consumer("t", { url, pollInterval: 0.05 });
    const producer = new Producer("t", { url, pollInterval: 0.05, maxMessages: 1 });
    const sent = (async () => {
      for (let n = 0; n < 5; n++) await producer.sendMessage(n);
      await producer.end();
    })();
    const read: unknown[] = [];
    for await (const message of consumer) read.push(message);
    assert.deepEqual(read, [0, 1, 2, 3, 4]);
    await sent;
    await producer.close();
    await consumer.close();
    await admin.call("acl", "deluser", "plain");
  });

  it("is said to be wrong where a key is something else", async () => {
    await admin.set("celeriac.to-client.t", "text");
    const producer = new Producer("t", { url: redis.url });
    await assert.rejects(producer.sendMessage(1), /WRONGTYPE/);
    const consumer = new Consumer("t", { url: redis.url });
    await assert.rejects(consumer.get(), /WRONGTYPE/);
    await producer.close();
    await consumer.close();
  });
});
