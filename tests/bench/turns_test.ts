/** The bench does not rot: our own contestants, their floors and clients take a turn each with a few hundred tasks. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Workflow } from "../../bench/client.ts";
import { celeriac, type Runtime, startCeleriac } from "../../bench/contestants/celeriac.ts";
import { redisFloor } from "../../bench/contestants/floor.ts";
import type { Drained } from "../../bench/drain.ts";
import type { Setting } from "../../bench/part.ts";
import { killAll, Program, ROOT } from "../../bench/process.ts";
import { drainRedis } from "../../bench/redis_drain.ts";
import { BenchRedis } from "../../bench/redis_server.ts";
import { drainFile, type PreparedFiles } from "../../bench/sqlite_drain.ts";
import { BenchFile, prepareFile } from "../../bench/sqlite_file.ts";
import { runtimeName } from "../../runtime/platform.ts";

const runtime = runtimeName as Runtime;
const TASKS = 400;

describe("a turn of the bench", () => {
  let redis: BenchRedis, folder: string, setting: Setting, files: PreparedFiles;

  before(async () => {
    redis = await BenchRedis.start();
    folder = await mkdtemp(join(tmpdir(), "celeriac-bench-test-"));
    setting = { quick: true, redis, folder, signal: new AbortController().signal, say() {} };
    await redis.prepare("ours", TASKS, "tasks.add", [1, 2]);
    files = {
      tasks: TASKS,
      waiting: await prepareFile(folder, "waiting", TASKS),
      held: await prepareFile(folder, "held", 0, TASKS),
    };
  });

  after(async () => {
    await killAll();
    await redis.stop();
    await rm(folder, { recursive: true });
  });

  const isComplete = ({ looks }: Drained) => assert.equal(looks[looks.length - 1][1], TASKS);

  it("drains Redis with a worker and with the floor", async () => {
    for (const contestant of [celeriac(runtime, 0), redisFloor(runtime, 1)]) {
      const fill = () => redis.fill(contestant.db, "ours");
      isComplete(await drainRedis({ contestant, tasks: TASKS, fill }, setting));
    }
  });

  it("drains an SQLite file with the floor, with a worker and with two", async () => {
    for (const workers of [0, 1, 2]) {
      isComplete(await drainFile({ runtime, synchronous: "full", workers }, files, setting));
    }
  });

  it("publishes and calls by a client, whose worker serves several queues", async () => {
    const contestant = celeriac(runtime, 2);
    const client = contestant.startClient(redis);
    assert.ok(await client.publish(TASKS) > 0);
    assert.equal(await redis.connection(2).llen("celery"), TASKS);
    const worker = contestant.startWorker(redis, { queues: ["one", "two"], concurrency: 1, slots: 2 });
    const took = await client.call({ pauses: [1, 1, 1], queues: ["one", "two"], priorities: [0, 9] });
    assert.equal(took.length, 3);
    assert.ok(worker.usage().memory > 0 && client.usage().cpu >= 0);
    await Promise.all([worker.kill(), client.stop()]);
    assert.equal(worker.isRunning, false);
  });

  it("runs workflows by a client", async () => {
    const contestant = celeriac(runtime, 4);
    const worker = contestant.startWorker(redis), client = contestant.startClient(redis);
    const workflows: Workflow[] = [
      { shape: "chains", count: 5, steps: 3 },
      { shape: "group", count: 20 },
      { shape: "chord", count: 20 },
      { shape: "wordcount", folder: `${ROOT}docs`, texts: 3, calls: 2 },
    ];
    for (const workflow of workflows) assert.ok(await client.workflow(workflow) > 0);
    await Promise.all([worker.kill(), client.stop()]);
  });

  it("ends when a worker ends before its queue is empty", async () => {
    const contestant = { ...celeriac(runtime, 3), startWorker: () => new Program(["false"]) };
    const fill = () => redis.fill(3, "ours");
    await assert.rejects(drainRedis({ contestant, tasks: TASKS, fill }, setting), /ended with 0 of 400/);
  });

  it("releases what is held, some at a time", async () => {
    const file = await BenchFile.copy(files.held, folder);
    file.release(10);
    file.release(10);
    const worker = startCeleriac(runtime, file.url("normal"));
    while (await file.settled() < 20) await new Promise((resolve) => setTimeout(resolve, 5));
    await worker.kill();
    assert.equal(await file.settled(), 20);
    await file.delete();
  });
});
