/** celeriac and a real Celery on one RabbitMQ, with results over AMQP: each calls the other's tasks. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { App, chain, group, TaskError } from "../../mod.ts";
import { eventually } from "../conformance/patience.ts";
import { celery, type PythonConsole, startCeleryWorker, startPython } from "../servers/celery.ts";
import { startVhost, type TestVhost } from "../servers/rabbitmq.ts";
import { startWorker, type TestWorker } from "../servers/worker.ts";

const TASKS = fileURLToPath(new URL("./amqp/swap.ts", import.meta.url));
/** Seconds. */
const SOON = { timeout: 30 };

describe("celeriac and Celery on RabbitMQ", () => {
  let vhost: TestVhost;
  let ours: TestWorker;
  let theirs: TestWorker;
  let py: PythonConsole;
  let app: App;

  before(async () => {
    vhost = await startVhost();
    const { url } = vhost;
    app = new App({ broker: url, taskRoutes: { "py.*": { queue: "python" } } });
    const python = { url, backend: "rpc://" };
    [ours, theirs, py] = await Promise.all([
      startWorker(["-A", TASKS, "-b", url, "-c", "1"]),
      startCeleryWorker({ ...python, queues: ["python"], hostname: "python@test" }),
      startPython(python),
    ]);
  });
  after(async () => {
    await app.disconnect();
    await py.stop();
    await theirs.kill();
    await ours.kill();
    await vhost.close();
  });

  it("our client awaits a Python worker's results", async () => {
    assert.equal(await app.sendTask("py.add", [1, 2]).get(SOON), 3);
    assert.deepEqual(await app.sendTask("py.echo", [{ a: [1, "ü"] }]).get(SOON), { a: [1, "ü"] });
    const calls = Array.from({ length: 300 }, (_, i) => app.sendTask("py.add", [i, 1]).get(SOON));
    assert.deepEqual(await Promise.all(calls), calls.map((_, i) => i + 1));
  });

  it("our client gets a Python worker's error", async () => {
    await assert.rejects(app.sendTask("py.fail", ["ValueError", "no good", 42]).get(SOON), (error) => {
      assert.ok(error instanceof TaskError);
      assert.equal(error.type, "ValueError");
      assert.equal(error.remote, "python");
      return true;
    });
  });

  it("chains and groups have steps on both sides", async () => {
    const ours = (...args: number[]) => app.signature<number>("swap.add", args);
    const python = (...args: number[]) => app.signature<number>("py.add", args, {}, { queue: "python" });
    const result = chain(ours(1, 2), python(10), ours(100), group([python(1), ours(2)])).delay();
    assert.deepEqual(await result.get(SOON), [114, 115]);
    assert.equal(await result.parent!.get(SOON), 113);
    const failed = chain(ours(1, 2), app.signature<number>("swap.fail", [], {}, {}), python(1)).delay();
    await assert.rejects(failed.get(SOON), { name: "ValueError" });
    assert.equal(
      await py.run(`
from celery import chain
py_add = app.tasks["py.add"]
ours = task("swap.add")
chain(ours.s(1, 2), py_add.s(10).set(queue="python"), ours.s(100)).apply_async().get(timeout=30)`),
      "113",
    );
  });

  it("a result may come before it is asked for", async () => {
    const result = app.sendTask("py.add", [20, 22]);
    await eventually(async () => assert.equal(await result.state, "SUCCESS"), 30_000);
    assert.equal(await result.get(SOON), 42);
    await result.forget();
    assert.equal(await result.state, "PENDING");
  });

  it("a Python client awaits our worker's results", async () => {
    assert.equal(await py.run(`task("swap.add").delay(1, 2).get(timeout=30)`), "3");
    const source = `results = [task("swap.add").delay(i, 1) for i in range(200)]
[result.get(timeout=30) for result in results]`;
    assert.deepEqual(await py.json(source), Array.from({ length: 200 }, (_, i) => i + 1));
  });

  it("a Python client gets our worker's error as its own class", async () => {
    await assert.rejects(py.run(`task("swap.fail").delay("no good").get(timeout=30)`), {
      name: "ValueError",
      message: "no good",
    });
  });

  it("a Python client sees our task's progress", async () => {
    const source = `seen = []
value = task("swap.progress").delay(500).get(timeout=30, on_message=lambda meta: seen.append(meta["result"]))
[seen[0], value]`;
    assert.deepEqual(await py.json(source), [{ current: 3, total: 10 }, "done"]);
  });

  it("retries are seen from one side to the other", async () => {
    const source = `seen = []
value = task("swap.again").delay(2).get(timeout=30, on_message=lambda meta: seen.append(meta["status"]))
[seen, value]`;
    assert.deepEqual(await py.json(source), [["RETRY", "RETRY", "SUCCESS"], 2]);
    assert.equal(await app.sendTask("py.retry", [2]).get(SOON), 2);
    assert.equal(await app.sendTask("swap.again", [1]).get(SOON), 1);
  });

  it("headers arrive as they were sent, whatever their numbers", async () => {
    const headers = {
      small: 5,
      middle: 3600,
      negative: -300,
      large: 70_000,
      huge: 1_700_000_000_000,
      half: 1.5,
    };
    const more = { text: "ü", none: null, yes: true, list: [1, 3600, [null]], table: { a: 40_000 } };
    assert.deepEqual(
      await py.json(`task("swap.headers").apply_async(headers=headers).get(timeout=30)`, {
        headers: { ...headers, ...more },
      }),
      { ...headers, ...more },
    );
    const seen = app.sendTask<{ my: unknown }>("py.request", [], {}, {
      headers: { my: { ...headers, ...more } },
    });
    assert.deepEqual((await seen.get(SOON)).my, { ...headers, ...more });
  });

  it("ping reaches Python's workers and ours", async () => {
    const answers = await app.inspect.ping({ timeout: 3 });
    assert.deepEqual(Object.values(answers), [{ ok: "pong" }, { ok: "pong" }]);
    const { stdout } = await celery(
      { url: vhost.url, backend: "rpc://" },
      "inspect",
      "ping",
      "--timeout",
      "3",
    );
    assert.match(stdout, /2 nodes online/);
  });

  it("what is delayed goes through the same queues as Python's", async () => {
    const app2 = new App({ broker: vhost.url });
    const due = Date.now() + 6_500;
    const late = app2.sendTask("swap.add", [4, 5], {}, { eta: new Date(due) });
    assert.equal(await late.get(SOON), 9);
    assert.ok(Date.now() >= due);
    await app2.disconnect();
    // Declares all of it again, which RabbitMQ refuses where a flag or an argument is another.
    const source = `from kombu.transport.native_delayed_delivery import *
with app.connection() as connection:
    declare_native_delayed_delivery_exchanges_and_queues(connection, "quorum")`;
    await py.run(source);
  });

  it("Python's native delayed delivery reaches our worker by a quorum queue", async () => {
    const source = `from kombu import Exchange, Queue
from kombu.transport.native_delayed_delivery import *
with app.connection() as connection:
    queue = Queue("slow", Exchange("slow", type="topic"), "slow", queue_arguments={"x-queue-type": "quorum"})
    queue.bind(connection.channel()).declare()
    bind_queue_to_native_delayed_delivery_exchange(connection, queue)
    key = calculate_routing_key(2, "slow")
sent = task("swap.add").apply_async((7, 8), exchange="celery_delayed_27", routing_key=key)
sent.id`;
    const worker = await startWorker([
      ...["-A", TASKS, "-b", `${vhost.url}?queue_type=quorum`],
      ...["-c", "1", "-Q", "slow", "-n", "slow@test"],
    ]);
    await py.run(source);
    assert.equal(await py.run(`sent.get(timeout=30)`), "15");
    await worker.kill();
  });
});
