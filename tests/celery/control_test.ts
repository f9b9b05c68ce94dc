/** Remote control between Celery and us: each revokes what the other runs, and understands what it answers. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { App, uid } from "../../mod.ts";
import { eventually } from "../conformance/patience.ts";
import { celery, type PythonConsole, startCeleryWorker, startPython } from "../servers/celery.ts";
import { startVhost } from "../servers/rabbitmq.ts";
import { startRedis } from "../servers/redis.ts";
import { startWorker, type TestWorker } from "../servers/worker.ts";

const TASKS = fileURLToPath(new URL("../worker/tasks.ts", import.meta.url));
const REVOKED = { name: "TaskRevokedError" };

/** A broker, and where Python finds results of it. */
interface Broker {
  readonly url: string;
  readonly backend: string;
  close(): Promise<void>;
}

const brokers: Readonly<Record<string, () => Promise<Broker>>> = {
  async Redis() {
    const redis = await startRedis();
    return { url: redis.url, backend: redis.url, close: () => redis.stop() };
  },
  async RabbitMQ() {
    const vhost = await startVhost();
    return { url: vhost.url, backend: "rpc://", close: () => vhost.close() };
  },
};

for (const [name, start] of Object.entries(brokers)) {
  describe(`remote control between Celery and us on ${name}`, () => {
    let broker: Broker;
    let folder: string;
    let ours: TestWorker;
    let theirs: TestWorker;
    let py: PythonConsole;
    let app: App;

    const startOurs = () =>
      startWorker(["-A", TASKS, "-b", broker.url, "-c", "1", "-n", "ours@test"], { cwd: folder });

    before(async () => {
      [broker, folder] = await Promise.all([start(), mkdtemp(join(tmpdir(), "celeriac-control-"))]);
      app = new App({ broker: broker.url, taskRoutes: { "py.*": { queue: "theirs" } } });
      [ours, theirs, py] = await Promise.all([
        startOurs(),
        startCeleryWorker({
          ...broker,
          queues: ["theirs"],
          hostname: "theirs@test",
          args: ["-P", "prefork", "-c", "1"],
        }),
        startPython(broker),
      ]);
    });
    after(async () => {
      await app.disconnect();
      await py.stop();
      await theirs.kill();
      await ours.kill();
      await broker.close();
      await rm(folder, { recursive: true, force: true });
    });

    it("Python revokes a task of ours before it starts", async () => {
      const id = uid();
      assert.equal(
        await py.run(`app.control.revoke(id, reply=True, destination=["ours@test"], timeout=20)`, { id }),
        `[{'ours@test': {'ok': 'tasks ${id} flagged as revoked'}}]`,
      );
      const call = `task("tasks.add").apply_async((1, 2), task_id=id).get(timeout=30)`;
      await assert.rejects(py.run(call, { id }), REVOKED);
      assert.equal(await py.run(`task("tasks.add").delay(1, 2).get(timeout=30)`), "3");
    });

    it("Python terminates a task of ours that runs", async () => {
      const id = uid();
      await py.run(`running = task("tasks.busy").apply_async((60000,), task_id=id)`, { id });
      const ask = `app.control.inspect(["ours@test"], timeout=20).active()["ours@test"]`;
      await eventually(async () => {
        const [{ id: active, name, args }] = await py.json<{ id: string; name: string; args: unknown }[]>(
          ask,
        );
        assert.deepEqual([active, name, args], [id, "tasks.busy", [60000]]);
      }, 30_000);
      assert.equal(
        await py.run(
          `app.control.revoke(id, terminate=True, signal=9, reply=True, destination=["ours@test"], timeout=20)`,
          { id },
        ),
        `[{'ours@test': {'ok': 'terminate: ${id}'}}]`,
      );
      await assert.rejects(py.run(`running.get(timeout=30)`), { ...REVOKED, args: "('terminated',)" });
    });

    // What is answered is the same on every broker.
    if (name === "Redis") {
      it("Python understands all that ours answers", async () => {
        const answers = await py.json<Record<string, unknown>>(
          `i = app.control.inspect(["ours@test"], timeout=20)
{name: getattr(i, name)()["ours@test"] for name in ("active", "reserved", "scheduled", "revoked", "registered", "stats", "active_queues", "clock")}`,
        );
        assert.deepEqual([answers.active, answers.reserved, answers.scheduled], [[], [], []]);
        assert.ok((answers.registered as string[]).includes("tasks.add"));
        assert.deepEqual((answers.active_queues as { name: string }[]).map(({ name }) => name), ["celery"]);
        assert.equal((answers.stats as { pid: number }).pid, ours.pid);
        const { stdout, stderr } = await celery(
          broker,
          ...["control", "-d", "ours@test", "-t", "20", "time_limit", "tasks.add", "5", "10"],
        );
        assert.match(stdout, /time limits set successfully/, stderr);
      });
    }

    it("ours revokes a task of Python's", async () => {
      const id = uid();
      const here = { reply: true, destination: ["theirs@test"], timeout: 20 };
      const replies = await app.control.revoke(id, here);
      assert.ok("ok" in (replies["theirs@test"] as object), JSON.stringify(replies));
      await assert.rejects(app.sendTask("py.add", [1, 2], {}, { taskId: id }).get({ timeout: 30 }), REVOKED);
      assert.equal(await app.sendTask("py.add", [1, 2]).get({ timeout: 30 }), 3);
    });

    it("ours terminates a task of Python's that runs", async () => {
      const running = app.sendTask("py.rest", [60]);
      const here = { destination: ["theirs@test"], timeout: 20 };
      await eventually(async () => {
        const found = (await app.control.queryTask(running.id, here))["theirs@test"];
        assert.equal((found as Record<string, [string]>)[running.id]?.[0], "active");
      }, 30_000);
      await running.revoke({ ...here, terminate: true, reply: true });
      await assert.rejects(running.get({ timeout: 30 }), REVOKED);
    });

    it("each revokes by stamps what the other runs", async () => {
      const told = await py.json<Record<string, { ok: string }>[]>(
        `app.control.revoke_by_stamped_headers({"order": ["a"]}, reply=True, destination=["ours@test"], timeout=20)`,
      );
      assert.match(told[0]["ours@test"].ok, /flagged as revoked, but not terminated/);
      await assert.rejects(
        py.run(`
stamped = task("tasks.add").s(1, 2)
stamped.stamp(order="a")
stamped.apply_async().get(timeout=30)`),
        REVOKED,
      );
      const here = { reply: true, destination: ["theirs@test"], timeout: 20 };
      await app.control.revokeByStampedHeaders({ order: "b" }, here);
      const stamped = (order: string) => app.signature<number>("py.add", [1, 2]).stamp({ order }).delay();
      await assert.rejects(stamped("b").get({ timeout: 30 }), REVOKED);
      assert.equal(await stamped("c").get({ timeout: 30 }), 3);
    });

    it("what was revoked stays so when our worker is started again", async () => {
      const id = uid();
      await app.control.revoke(id, { reply: true, destination: ["ours@test"], timeout: 20 });
      await ours.kill();
      const revoked = app.sendTask("tasks.add", [1, 2], {}, { taskId: id });
      await revoked.published;
      ours = await startOurs();
      await assert.rejects(revoked.get({ timeout: 30 }), REVOKED);
    });

    it(`a worker of ${name === "Redis" ? "Python's" : "ours"} that starts learns what was revoked`, async () => {
      const id = uid();
      await app.control.revoke(id, { reply: true, destination: ["ours@test"], timeout: 20 });
      const elsewhere = await mkdtemp(join(tmpdir(), "celeriac-control-"));
      const late = name === "Redis"
        ? await startCeleryWorker({ ...broker, queues: ["late"], hostname: "late@test", mingle: true })
        : await startWorker(["-A", TASKS, "-b", broker.url, "-c", "1", "-Q", "late", "-n", "late@test"], {
          cwd: elsewhere,
        });
      // It says that it is ready a moment before it listens, or has asked.
      await eventually(async () => {
        const { "late@test": known } = await app.inspect.revoked({ destination: ["late@test"], timeout: 2 });
        assert.ok((known as string[] | undefined)?.includes(id));
      }, 30_000);
      await late.kill();
      await rm(elsewhere, { recursive: true, force: true });
    });
  });
}
