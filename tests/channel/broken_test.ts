/** Messages go on through whatever breaks: none lost, none doubled but by those who were killed. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { App, Consumer, Producer, uid } from "../../mod.ts";
import { runtimeName } from "../../runtime/platform.ts";
import { within } from "../conformance/patience.ts";
import { startVhost, type TestVhost } from "../servers/rabbitmq.ts";
import { type RedisServer, startRedis } from "../servers/redis.ts";
import { startProxy } from "../servers/tcp_proxy.ts";
import { follow, startWorker } from "../servers/worker.ts";

const SOON = 60_000;

let redis: RedisServer;
let rabbitmq: TestVhost;
let folder: string;
before(async () => {
  [redis, rabbitmq] = await Promise.all([startRedis({ appendonly: true }), startVhost()]);
  folder = await mkdtemp(join(tmpdir(), "celeriac-"));
});
after(async () => {
  await Promise.all([redis.stop(), rabbitmq.close()]);
  await rm(folder, { recursive: true });
});

function urlOf(kind: "redis" | "sqlite" | "amqp", file: string): string {
  return kind === "redis" ? redis.url : kind === "amqp" ? rabbitmq.url : `sqlite:${join(folder, file)}`;
}

function program(name: string, ...args: string[]) {
  const run = runtimeName === "deno" ? ["run", "-A", "--no-check"] : [];
  const file = fileURLToPath(new URL(name, import.meta.url));
  return follow(spawn(process.execPath, [...run, file, ...args], { stdio: ["ignore", "pipe", "pipe"] }));
}

/** Sends `count` numbers to a consumer of another process's kind, while `trouble` goes on; every one must come once. */
async function goThrough(url: string, count: number, trouble: (read: () => number) => Promise<void>) {
  const id = uid();
  const producer = new Producer<number>(id, { url, maxMessages: 300 });
  const consumer = new Consumer<number>(id, { url });
  const sending = (async () => {
    for (let n = 0; n < count; n += 7) {
      await producer.sendMessages(Array.from({ length: Math.min(7, count - n) }, (_, i) => n + i));
    }
    await producer.end();
  })();
  let read = 0;
  const reading = (async () => {
    for await (const message of consumer) assert.equal(message, read++);
  })();
  const troubled = trouble(() => read);
  await within(SOON, Promise.all([sending, reading, troubled]), "the end of the stream");
  assert.equal(read, count);
  await producer.close();
  await consumer.close();
}

async function reached(read: () => number, count: number): Promise<void> {
  while (read() < count) await new Promise((resolve) => setTimeout(resolve, 1));
}

describe("messages on a Redis", () => {
  it("that is restarted are all there, once", () =>
    goThrough(redis.url, 4_000, async (read) => {
      for (const at of [500, 2_000]) {
        await reached(read, at);
        await redis.kill();
        await redis.start();
      }
    }));

  it("that stands still for a while are all there, once", () =>
    goThrough(redis.url, 3_000, async (read) => {
      await reached(read, 1_000);
      redis.pause();
      await new Promise((resolve) => setTimeout(resolve, 500));
      redis.resume();
    }));

  it("whose connections are cut in the middle of answers are all there, once", async () => {
    const proxy = await startProxy(redis.port);
    try {
      await goThrough(`redis://127.0.0.1:${proxy.port}/0`, 8_000, async (read) => {
        for (let i = 0; i < 12; i++) {
          await reached(read, 600 * (i + 1));
          if (i % 3 === 0) proxy.cut();
          else await proxy.cutAfter([0, 1, 30, 200][i % 4]);
        }
      });
    } finally {
      await proxy.close();
    }
  });
});

describe("messages on a RabbitMQ", () => {
  it("whose connections are cut in the middle of answers are all there, once", async () => {
    const proxy = await startProxy(rabbitmq.server.port);
    try {
      await goThrough(`amqp://127.0.0.1:${proxy.port}/${rabbitmq.name}`, 6_000, async (read) => {
        for (let i = 0; i < 6; i++) {
          await reached(read, 800 * (i + 1));
          if (i % 3 === 0) proxy.cut();
          else await proxy.cutAfter([0, 1, 30, 200][i % 4]);
        }
      });
    } finally {
      await proxy.close();
    }
  });
});

for (const kind of ["redis", "sqlite", "amqp"] as const) {
  describe(`kill -9 beside messages on ${kind}`, () => {
    const url = () => urlOf(kind, "killed.db");

    it("of a consumer leaves the rest to the next, with little twice", async () => {
      const id = uid();
      const producer = new Producer<number>(id, { url: url() });
      await producer.sendMessages(Array.from({ length: 5_000 }, (_, n) => n));
      await producer.end();
      await producer.close();
      const killed = program("./reader.ts", url(), id);
      await within(SOON, killed.line(/^700$/), "700 messages");
      await killed.kill();
      const first = killed.lines.filter((line) => /^\d+$/.test(line)).map(Number);
      const next = program("./reader.ts", url(), id);
      assert.equal(await within(SOON, next.exited, "the end"), 0);
      const rest = next.lines.filter((line) => /^\d+$/.test(line)).map(Number);
      assert.equal(next.lines.at(-1), "end");
      if (first.at(-1) === 4_999) return;
      assert.deepEqual(first, Array.from({ length: first.length }, (_, n) => n));
      assert.ok(rest[0] <= first.length, `${rest[0]} after ${first.length}`);
      assert.ok(first.length - rest[0] <= 1_000, `${first.length - rest[0]} twice`);
      assert.deepEqual(rest, Array.from({ length: 5_000 - rest[0] }, (_, n) => rest[0] + n));
    });

    it("of a producer leaves what it knew to be stored", async () => {
      const id = uid();
      const sender = program("./sender.ts", url(), id);
      await within(SOON, sender.line(/^\d{3}$/), "100 messages");
      await sender.kill();
      const stored = Number(sender.lines.at(-1));
      const consumer = new Consumer<number>(id, { url: url() });
      const read: number[] = [];
      for (let n; (n = await consumer.get({ timeout: 0 })) !== undefined;) read.push(n);
      assert.deepEqual(read, Array.from({ length: read.length }, (_, n) => n));
      assert.ok(read.length > stored, `${read.length} of ${stored}`);
      assert.equal(consumer.ended, false);
      await consumer.close();
    });

    it("of a worker has its task send again, and read what it had not done with", async () => {
      const settings = fileURLToPath(new URL("../celery/short_lease.json", import.meta.url));
      const broker = urlOf(kind, "worker.db");
      const start = () =>
        startWorker(["-A", "tests/channel/tasks.ts", "-c", "1", "-b", broker, "--config", settings]);
      const app = new App({ broker });
      const result = app.sendTask("tasks.echo");
      const killed = await start();
      const heard: string[] = [];
      const echo = (async () => {
        for await (const word of result.messages<string>()) heard.push(word);
      })();
      await result.send("a");
      while (heard.length < 1) await new Promise((resolve) => setTimeout(resolve, 5));
      await killed.kill();
      await result.send("b");
      await result.sendEnd();
      const next = await start();
      await within(SOON, echo, "the end of the stream");
      // What the first run was done with, having asked for more, did not come again to the second.
      const heardByNext = await result;
      assert.deepEqual(heard, heardByNext === 2 ? ["A", "A", "B"] : ["A", "B"]);
      await app.disconnect();
      await next.stop();
    });
  });
}
