/** One queue that a Python worker and ours serve together, and what becomes of it when one of them dies. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Redis } from "ioredis";
import { App } from "../../mod.ts";
import { startCeleryWorker } from "../servers/celery.ts";
import { type RedisServer, startRedis } from "../servers/redis.ts";
import { startWorker, type TestWorker } from "../servers/worker.ts";

/** Each message is acknowledged after its run, none is fetched ahead, and what nobody settles is soon restored. */
const shortTimeouts = {
  task_acks_late: true,
  worker_prefetch_multiplier: 1,
  broker_transport_options: {
    visibility_timeout: 3,
    unacked_restore_interval: 0.5,
    unacked_restore_throttle: 1,
  },
};

describe("A queue that Python's workers and ours share", () => {
  let server: RedisServer;
  /** Each test works on a database of its own. */
  let url: string;
  let app: App;
  let redis: Redis;
  const workers: TestWorker[] = [];
  let database = 0;

  before(async () => {
    server = await startRedis();
  });

  after(async () => {
    await server?.stop();
  });

  async function onFreshDatabase(run: () => Promise<void>): Promise<void> {
    url = server.url.replace(/\/0$/, `/${database++}`);
    app = new App({ broker: url });
    redis = new Redis(url);
    try {
      await run();
    } finally {
      await Promise.all(workers.splice(0).map((worker) => worker.stop()));
      await app.disconnect();
      redis.disconnect();
    }
  }

  async function startOurs(...args: string[]): Promise<TestWorker> {
    const command = ["-A", "tests/celery/tasks", "-b", url, ...args];
    const worker = await startWorker(command, { env: { CELERY_TEST_URL: url } });
    workers.push(worker);
    return worker;
  }

  async function startTheirs(conf: Record<string, unknown>): Promise<TestWorker> {
    const worker = await startCeleryWorker({ url, conf });
    workers.push(worker);
    return worker;
  }

  /** How often each task ran. */
  async function runs(): Promise<Map<number, number>> {
    return new Map(
      Object.entries(await redis.hgetall("runs")).map(([task, runs]) => [Number(task), Number(runs)]),
    );
  }

  async function nothingUnacknowledged(): Promise<void> {
    while (await redis.hlen("unacked") > 0) await new Promise(setImmediate);
    assert.equal(await redis.zcard("unacked_index"), 0);
    assert.equal(await redis.llen("celery"), 0);
  }

  it("has each of 2,000 tasks run exactly once, some here and some there", () =>
    onFreshDatabase(async () => {
      await Promise.all([startOurs("-c", "1"), startTheirs({})]);
      // Until the slower one is seen at work.
      while (await app.sendTask<string>("shared.run", [-1]) !== "python");
      await redis.del("runs");
      const results = Array.from({ length: 2_000 }, (_, i) => app.sendTask<string>("shared.run", [i]));
      const who = await Promise.all(results.map((result) => result.get({ timeout: 60 })));
      const ran = await runs();
      assert.equal(ran.size, 2_000);
      assert.deepEqual([...ran].filter(([, times]) => times !== 1), []);
      assert.deepEqual([...new Set(who)].sort(), ["celeriac", "python"]);
      await nothingUnacknowledged();
    }));

  it("loses nothing when our worker is killed: Python's restores what it held", () =>
    onFreshDatabase(async () => {
      const ours = await startOurs("-c", "2", "--config", "tests/celery/short_lease.json");
      const held = app.sendTask<string>("shared.held", [-1]);
      assert.equal((await redis.blpop("held", 20))?.[1], "celeriac");
      await startTheirs(shortTimeouts);
      await killInTheMiddle(ours, held, "python");
    }));

  it("loses nothing when Python's worker is killed: ours restores what it held", () =>
    onFreshDatabase(async () => {
      const theirs = await startTheirs(shortTimeouts);
      const held = app.sendTask<string>("shared.held", [-1]);
      assert.equal((await redis.blpop("held", 20))?.[1], "python");
      await startOurs("-c", "2", "--config", "tests/celery/short_lease.json");
      await killInTheMiddle(theirs, held, "celeriac");
    }));

  /** Kills a worker that is inside of the task `held`, while both of them are at work; `heir` is who is left. */
  async function killInTheMiddle(
    worker: TestWorker,
    held: { get(options: { timeout: number }): Promise<string> },
    heir: string,
  ): Promise<void> {
    const results = Array.from({ length: 1_000 }, (_, i) => app.sendTask<string>("shared.run", [i]));
    while (await redis.hlen("runs") < 200) await new Promise(setImmediate);
    await worker.kill();
    workers.splice(workers.indexOf(worker), 1);
    assert.equal(await held.get({ timeout: 30 }), heir);
    await Promise.all(results.map((result) => result.get({ timeout: 30 })));
    const ran = await runs();
    assert.equal(ran.size, 1_001);
    assert.equal(ran.get(-1), 2);
    const again = [...ran.values()].filter((times) => times > 1).length;
    assert.ok(again <= 128, `${again} tasks ran twice, more than one worker holds`);
    await nothingUnacknowledged();
  }

  it("gives Python's worker what ours did not start when it is stopped, and keeps what it had begun", () =>
    onFreshDatabase(async () => {
      const ours = await startOurs("-c", "1");
      const begun = app.sendTask<string>("shared.sleep", [-1, 2]);
      while (await redis.hlen("runs") === 0) await new Promise(setImmediate);
      const results = Array.from({ length: 300 }, (_, i) => app.sendTask<string>("shared.run", [i]));
      await Promise.all(results.map((result) => result.published));
      const stopped = ours.stop();
      await startTheirs(shortTimeouts);
      const who = await Promise.all(results.map((result) => result.get({ timeout: 30 })));
      assert.deepEqual([...new Set(who)], ["python"]);
      assert.equal(await begun.get({ timeout: 30 }), "celeriac");
      assert.equal(await stopped, 0);
      assert.deepEqual([...await runs()].filter(([, times]) => times !== 1), []);
      await nothingUnacknowledged();
    }));

  it("has a task of ours run once that runs much longer than Python's visibility timeout", () =>
    onFreshDatabase(async () => {
      await startOurs("-c", "1", "--config", "tests/celery/short_lease.json");
      const long = app.sendTask<string>("shared.sleep", [1, 8]);
      while (await redis.hlen("runs") === 0) await new Promise(setImmediate);
      await startTheirs(shortTimeouts);
      assert.equal(await long.get({ timeout: 30 }), "celeriac");
      await nothingUnacknowledged();
      assert.deepEqual([...await runs()], [[1, 1]]);
    }));
});
