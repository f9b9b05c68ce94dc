/** `examples/plain_queue.ts` and `examples/plain_queue.py` understand each other, both ways. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { python } from "../servers/python.ts";
import { type RedisServer, startRedis } from "../servers/redis.ts";
import { runExample, runPython, startExample } from "./program.ts";

describe("a plain queue", () => {
  let redis: RedisServer, interpreter: string;
  before(async () => {
    [redis, interpreter] = await Promise.all([startRedis(), python()]);
  });
  after(() => redis.stop());

  const ours = (what: string) => runExample("plain_queue.ts", redis.url, what);
  const theirs = (what: string) => runPython(interpreter, "plain_queue.py", redis.url, what);
  const sent = ["sent two messages"];

  it("carries messages from TypeScript to Python", async () => {
    assert.deepEqual(await ours("produce"), sent);
    assert.deepEqual(await theirs("consume"), [
      "got good morning",
      'got {"order":17,"items":["tea","milk"]}',
    ]);
  });

  const got = ['got "good morning"', 'got {"order":17,"items":["tea","milk"]}'];

  it("carries messages from Python to TypeScript", async () => {
    assert.deepEqual(await theirs("produce"), sent);
    assert.deepEqual(await ours("consume"), got);
  });

  it("carries messages between two programs in TypeScript", async () => {
    assert.deepEqual(await ours("produce"), sent);
    assert.deepEqual(await ours("consume"), got);
    assert.deepEqual(await ours("consume"), []);
  });

  it("says what it can do", async () => {
    const program = startExample("plain_queue.ts", redis.url);
    assert.equal(await program.exited, 2);
    assert.deepEqual(program.lines, ["say what to do: produce or consume"]);
  });
});
