/** Retries across languages: Python awaits a task of ours that retries, we await one of Python's; and Reject, Ignore. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { App } from "../../mod.ts";
import { type PythonConsole, type PythonError, startCeleryWorker, startPython } from "../servers/celery.ts";
import { type RedisServer, startRedis } from "../servers/redis.ts";
import { startWorker, type TestWorker } from "../servers/worker.ts";

describe("retries", () => {
  let redis: RedisServer;
  let ours: TestWorker;
  let theirs: TestWorker;
  let py: PythonConsole;
  let app: App;

  before(async () => {
    redis = await startRedis();
    const env = { CELERY_TEST_URL: redis.url };
    app = new App({ broker: redis.url });
    [ours, theirs, py] = await Promise.all([
      startWorker(["-A", "tests/celery/tasks", "-b", redis.url, "-c", "1", "-Q", "ours"], { env }),
      startCeleryWorker({ url: redis.url, queues: ["theirs"] }),
      startPython({ url: redis.url }),
    ]);
    await py.run(`
import json
import time as clock

def send(name, *args, **options):
    return task("js." + name).apply_async(args, queue="ours", **options)

def states(result):
    seen = []
    while True:
        meta = app.backend.get_task_meta(result.id)
        state = meta["status"]
        if state != "PENDING" and (not seen or seen[-1][0] != state):
            seen.append((state, repr(meta["result"]), meta["traceback"] is not None))
        if state in ("SUCCESS", "FAILURE"):
            return seen
        clock.sleep(0.002)
`);
  });

  after(async () => {
    await app?.disconnect();
    await py?.stop();
    await Promise.all([ours?.stop(), theirs?.stop()]);
    await redis?.stop();
  });

  it("Python sees RETRY, then SUCCESS, of a task of ours", async () => {
    const seen = await py.run(`result = send("again", 1); states(result)`);
    assert.equal(
      seen,
      `[('RETRY', "ValueError('again')", True), ('SUCCESS', "[1, [1.5, {'k': None}]]", False)]`,
    );
  });

  it("our retry keeps what only Python can write", async () => {
    const options = `headers={"my": 2**70}, expires=3600, priority=3, shadow="other"`;
    assert.equal(
      await py.run(`send("again", 1, 1.0, ${options}).get(timeout=30)`),
      "[1, [1, {'k': None}]]",
    );
    const text = await py.json<string>(`
send("requeued", "ours.next", 1.0, ${options})
clock.sleep(0)
store.blpop(["ours.next", "ours.next\\x06\\x163"], 30)[1].decode()`);
    const message = JSON.parse(text);
    assert.equal(message.headers.retries, 1);
    assert.equal(message.headers.shadow, "other");
    assert.match(text, /"my": 1180591620717411303424/);
    assert.match(atob(message.body), /^\[\["ours\.next", 1\.0\], \{\}/);
  });

  it("Python gets the error of a task of ours that was retried as often as it may be", async () => {
    await assert.rejects(
      py.run(`send("again", 9).get(timeout=30)`),
      (error: PythonError) => error.name === "ValueError" && error.message === "again",
    );
    await assert.rejects(
      py.run(`send("gives_up").get(timeout=30)`),
      (error: PythonError) =>
        error.name === "MaxRetriesExceededError" && error.module === "celery.exceptions",
    );
  });

  it("we see RETRY, then SUCCESS, of a task of Python's", async () => {
    const result = app.sendTask<number>("py.retry", [2], {}, { queue: "theirs" });
    const states: string[] = ["PENDING"];
    const last = result.get({ timeout: 30 }).then((value) => value, (error) => error);
    while (states.at(-1) !== "SUCCESS" && states.at(-1) !== "FAILURE") {
      const status = await result.status;
      if (status !== states.at(-1)) states.push(status);
    }
    assert.equal(await last, 2);
    assert.deepEqual(states, ["PENDING", "RETRY", "SUCCESS"]);
  });

  it("a message of Python's that was retried there is retried here", async () => {
    // Its first try runs in Python, its second one here: one name, one queue after the other.
    const result = app.sendTask<string>("shared.again", [], {}, { queue: "theirs" });
    assert.equal(await result.get({ timeout: 30 }), "celeriac after 2");
  });

  it("Reject and Ignore end a task as in Celery", async () => {
    const seen = (queue: string, name: string) => `
result = task("${name}").apply_async(queue="${queue}")
clock.sleep(0)
limit = clock.monotonic() + 30
while not ("${name}".endswith("ignores") or result.ready()):
    assert clock.monotonic() < limit
    clock.sleep(0.01)
task("${queue === "ours" ? "js" : "py"}.echo").apply_async((1,), queue="${queue}").get(timeout=30)
meta = store.get("celery-task-meta-" + result.id)
meta = meta and json.loads(meta)
meta and (meta["status"], meta["result"]["exc_type"], meta["result"]["exc_module"], meta["result"]["exc_message"])`;
    for (const what of ["ignores", "rejects"]) {
      const [js, python] = [
        await py.run(seen("ours", `js.${what}`)),
        await py.run(seen("theirs", `py.${what}`)),
      ];
      assert.equal(js, python, what);
    }
  });
});
