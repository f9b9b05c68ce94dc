/** The plain queue, between our two ends and between ours and redis-py's. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, beforeEach, describe, it } from "node:test";
import { promisify } from "node:util";
import { Redis } from "ioredis";
import { consume, produce } from "../../runtime/client/plain_queue.ts";
import { eventually, within } from "../conformance/patience.ts";
import { python } from "../servers/python.ts";
import { freePort, type RedisServer, startRedis } from "../servers/redis.ts";
import { startProxy } from "../servers/tcp_proxy.ts";

let server: RedisServer;
let admin: Redis;
let url: string;
const queue = "orders";

before(async () => {
  server = await startRedis();
  admin = new Redis(server.port);
  url = server.url;
});
after(async () => {
  await admin.quit();
  await server.stop();
});
beforeEach(async () => void await admin.flushall());

/** How many clients wait in a BRPOP. */
async function waiting(): Promise<number> {
  return Number(/blocked_clients:(\d+)/.exec(await admin.info("clients"))![1]);
}

describe("plain queue", () => {
  it("gives back values and texts as they were", async () => {
    const values = [
      "hello",
      "",
      "Grüße ✓ 🥕",
      { a: [1, 2.5, null, true], b: { c: "d" } },
      [],
      17,
      null,
      12345678901234567890n,
      new Date(0),
    ];
    for (const value of values) await produce(value, { queue, url });
    for (const value of values) assert.deepEqual(await consume({ queue, url, timeout: 5 }), value);
  });

  it("writes a string as it is and any other value as JSON", async () => {
    await produce("plain text", { queue, url });
    await produce('{"a": 1}', { queue, url });
    await produce({ a: "x" }, { queue, url });
    assert.deepEqual(await admin.lrange(queue, 0, -1), ['{"a":"x"}', '{"a": 1}', "plain text"]);
  });

  it("parses what is JSON, unless texts are asked for", async () => {
    await produce('{"a": 1}', { queue, url });
    await produce("42", { queue, url });
    await produce("42", { queue, url });
    await produce("{not json", { queue, url });
    assert.deepEqual(await consume({ queue, url }), { a: 1 });
    assert.equal(await consume({ queue, url }), 42);
    assert.equal(await consume({ queue, url, text: true }), "42");
    assert.equal(await consume({ queue, url }), "{not json");
  });

  it("gives the oldest first, each message to one consumer", async () => {
    const consumers = Array.from({ length: 5 }, () => consume({ queue, url, timeout: 10 }));
    await eventually(async () => assert.equal(await waiting(), 5));
    await Promise.all(Array.from({ length: 200 }, (_, index) => produce(index, { queue, url })));
    const seen = await Promise.all(consumers) as number[];
    while (seen.length < 200) seen.push(await consume({ queue, url, timeout: 5 }) as number);
    assert.deepEqual(seen.slice(5), seen.slice(5).toSorted((a, b) => a - b));
    assert.deepEqual(seen.toSorted((a, b) => a - b), Array.from({ length: 200 }, (_, index) => index));
  });

  it("gives undefined when nothing came in time", async () => {
    const start = performance.now();
    assert.equal(await consume({ queue, url, timeout: 0.2 }), undefined);
    assert.ok(performance.now() - start >= 190);
  });

  it("waits for ever without a timeout", async () => {
    const consumed = consume({ queue, url });
    await eventually(async () => assert.equal(await waiting(), 1));
    await produce("at last", { queue, url });
    assert.equal(await within(5_000, consumed, "the message"), "at last");
  });

  it("ends a wait with the signal's reason, and loses no message by it", async () => {
    const reason = new Error("enough");
    const seen: unknown[] = [];
    for (let turn = 0; turn < 30; turn++) {
      const abort = new AbortController();
      let over = false;
      const consumed = consume({ queue, url, signal: abort.signal }).then(
        (message) => void seen.push(message),
        (error) => assert.equal(error, reason),
      ).finally(() => over = true);
      // What an earlier turn has left may end this one's wait at once.
      if (turn % 3 > 0) await eventually(async () => assert.ok(over || await waiting() === 1));
      // The message and the end of the wait race each other.
      const produced = turn % 2 === 0 ? produce(turn, { queue, url }) : undefined;
      abort.abort(reason);
      await within(5_000, Promise.all([consumed, produced]), "the end of the wait");
    }
    for (let left = await admin.llen(queue); left > 0; left--) seen.push(await consume({ queue, url }));
    assert.deepEqual(
      (seen as number[]).toSorted((a, b) => a - b),
      Array.from({ length: 15 }, (_, i) => 2 * i),
    );
    await assert.rejects(consume({ queue, url, signal: AbortSignal.abort(reason) }), reason);
  });

  it("goes on waiting on a new connection when the old one is lost", async () => {
    const proxy = await startProxy(server.port);
    const consumed = consume({ queue, url: `redis://127.0.0.1:${proxy.port}/0`, timeout: 20 });
    await eventually(async () => assert.equal(await waiting(), 1));
    proxy.cut();
    await eventually(async () => assert.equal(await waiting(), 1));
    await produce("after all", { queue, url });
    assert.equal(await within(10_000, consumed, "the message"), "after all");
    await proxy.close();
  });

  it("says which server is away, and that a timeout makes no sense", async () => {
    const away = `redis://:secret@127.0.0.1:${await freePort()}/0`;
    for (const call of [produce(1, { queue, url: away }), consume({ queue, url: away, timeout: 1 })]) {
      await assert.rejects(call, (error: Error) => {
        assert.equal(error.name, "BrokerUnavailableError");
        assert.match(error.message, /redis:\/\/:\*\*@127\.0\.0\.1:\d+\/0: .*refused/);
        return true;
      });
    }
    await assert.rejects(consume({ queue, url, timeout: -1 }), RangeError);
    await assert.rejects(produce(1, { queue, url: "http://x" }), { name: "BadUrlError" });
    await assert.rejects(produce({ a: { b: () => 1 } }, { queue, url }), /b/);
  });

  it("works both ways with ten lines of redis-py", async () => {
    const program = `
import json, redis
r = redis.Redis(port=${server.port})
seen = [r.brpop("to_python", timeout=10)[1].decode() for _ in range(4)]
r.lpush("to_js", "plain text")
r.lpush("to_js", json.dumps({"seen": seen, "big": 2**70, "nan": float("nan")}))
r.lpush("to_js", json.loads(seen[1])["order"])
`;
    const ran = promisify(execFile)(await python(), ["-c", program]);
    await produce("hello", { queue: "to_python", url });
    await produce({ order: 17, of: ["Grüße"] }, { queue: "to_python", url });
    await produce([1, null], { queue: "to_python", url });
    await produce("42", { queue: "to_python", url });
    await ran;
    assert.equal(await consume({ queue: "to_js", url, timeout: 10 }), "plain text");
    assert.deepEqual(await consume({ queue: "to_js", url, timeout: 10 }), {
      seen: ["hello", '{"order":17,"of":["Grüße"]}', "[1,null]", "42"],
      big: 2n ** 70n,
      nan: NaN,
    });
    assert.equal(await consume({ queue: "to_js", url, timeout: 10 }), 17);
  });
});
