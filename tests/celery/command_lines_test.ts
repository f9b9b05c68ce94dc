/** Celery's command line sees our workers and queues, ours sees Python's. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { celery, type PythonConsole, startCeleryWorker, startPython } from "../servers/celery.ts";
import { type RedisServer, startRedis } from "../servers/redis.ts";
import { run, startWorker, type TestWorker } from "../servers/worker.ts";

describe("Celery's command line and ours", () => {
  let redis: RedisServer;
  let ours: TestWorker;
  let theirs: TestWorker;
  let py: PythonConsole;

  before(async () => {
    redis = await startRedis();
    ours = await startWorker(
      ["-A", "tests/celery/tasks", "-b", redis.url, "-c", "1", "-n", "ours@test", "-Q", "ours"],
      { env: { CELERY_TEST_URL: redis.url } },
    );
    [theirs, py] = await Promise.all([
      startCeleryWorker({
        url: redis.url,
        queues: ["theirs"],
        hostname: "theirs@test",
        mingle: true,
        args: ["-l", "INFO"],
      }),
      startPython({ url: redis.url }),
    ]);
  });

  after(async () => {
    await py?.stop();
    await Promise.all([ours?.stop(), theirs?.stop()]);
    await redis?.stop();
  });

  const theirCommand = (...args: string[]) => celery({ url: redis.url }, ...args);
  const ourCommand = (...args: string[]) => run([...args, "-b", redis.url]);

  it("a Python worker that starts finds ours and is answered", async () => {
    await theirs.line(/mingle: sync with 1 nodes/);
    await theirs.line(/mingle: sync complete/);
  });

  it("`celery inspect ping` and `celery status` see both workers", async () => {
    for (const command of [["inspect", "ping", "-t", "3"], ["status", "-t", "3"]]) {
      const { code, stdout, stderr } = await theirCommand(...command);
      assert.equal(code, 0, stderr);
      assert.match(stdout, /ours@test: OK/);
      assert.match(stdout, /theirs@test: OK/);
      assert.match(stdout, /2 nodes online/);
    }
  });

  it("`celery inspect ping -d` asks one worker", async () => {
    const { code, stdout } = await theirCommand("inspect", "ping", "-d", "ours@test", "-t", "3");
    assert.equal(code, 0);
    assert.match(stdout, /ours@test: OK/);
    assert.doesNotMatch(stdout, /theirs@test/);
  });

  it("Python finds ours by a pattern, and is told what ours can't do", async () => {
    assert.equal(
      await py.run(`app.control.inspect(pattern="our*", matcher="glob", timeout=1).ping()`),
      "{'ours@test': {'ok': 'pong'}}",
    );
    assert.match(
      await py.run(`app.control.inspect(["ours@test"], timeout=1)._request("nope")`),
      /error.*nope/,
    );
  });

  it("`celeriac status` sees both workers, or the one that it is asked for", async () => {
    const all = await ourCommand("status", "--timeout", "2");
    assert.equal(all.code, 0, all.stderr);
    assert.equal(all.stdout, "ours@test: OK\ntheirs@test: OK\n");
    const one = await ourCommand("status", "-d", "theirs@test", "--timeout", "10");
    assert.equal(one.stdout, "theirs@test: OK\n");
    assert.equal((await ourCommand("status", "-d", "nobody@test", "--timeout", "0.5")).code, 1);
  });

  it("nothing is left of their questions", async () => {
    assert.equal(await py.run(`store.scard("_kombu.binding.reply.celery.pidbox")`), "0");
    assert.equal(await py.run(`store.keys("*.reply.celery.pidbox")`), "[]");
  });

  it("`celery call` and `celery result` work with our worker", async () => {
    const called = await theirCommand("call", "js.add", "--args", "[40, 2]", "--queue", "ours");
    assert.equal(called.code, 0, called.stderr);
    const id = called.stdout.trim();
    await py.run(`AsyncResult(id).get(timeout=30)`, { id });
    assert.equal((await theirCommand("result", id)).stdout.trim(), "42");
  });

  it("`celeriac call` and `celeriac result` work with Python's worker", async () => {
    const called = await ourCommand("call", "py.add", "40", "2", "--queue", "theirs", "--timeout", "10");
    assert.equal(called.stdout, "42\n", called.stderr);
    const failed = await ourCommand(
      "call",
      "py.fail",
      "ValueError",
      "bad",
      "--queue",
      "theirs",
      "--timeout",
      "10",
    );
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /ValueError: bad/);
    const detached = await ourCommand("call", "py.add", "1", "2", "--queue", "theirs", "--detach");
    const result = await ourCommand("result", detached.stdout.trim(), "--timeout", "10");
    assert.equal(result.stdout, "3\n", result.stderr);
  });

  it("Python counts and purges a queue that ours has filled", async () => {
    for (const priority of ["0", "3", "9"]) {
      const { code, stderr } = await ourCommand(
        "call",
        "x.y",
        "--queue",
        "waiting",
        "--priority",
        priority,
        "--detach",
      );
      assert.equal(code, 0, stderr);
    }
    assert.equal(
      await py.run(`
with app.connection_for_read() as connection:
    found = connection.default_channel.queue_declare("waiting", passive=True).message_count
found`),
      "3",
    );
    const purged = await theirCommand("purge", "-f", "-Q", "waiting");
    assert.match(purged.stdout, /Purged 3 messages from 1 known task queue/);
    assert.equal(await py.run(`[store.llen(key) for key in store.keys("waiting*")]`), "[]");
  });

  it("ours counts and purges a queue that Python has filled", async () => {
    await py.run(`
for priority in (0, 5, 9):
    task("x.y").apply_async(queue="full", priority=priority)`);
    const queues = await ourCommand("queues", "--json");
    const full = JSON.parse(queues.stdout).find(({ queue }: { queue: string }) => queue === "full");
    assert.deepEqual(full, { queue: "full", ready: 3, delayed: 0, unacked: 0, dead: 0 });
    assert.equal((await ourCommand("purge", "-f", "-Q", "full")).stdout, "full: 3 messages dropped\n");
    assert.equal(await py.run(`store.keys("full*")`), "[]");
  });
});
