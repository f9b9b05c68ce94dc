/** Replaced tasks, parts added to chords and saved groups on real brokers and result stores, also where these are apart. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { App, chain, chord, group, task, Worker } from "../../mod.ts";
import { systemClock } from "../../runtime/clock.ts";
import { InProcessIsolate } from "../../runtime/isolate/in_process.ts";
import { tasksOf } from "../../runtime/isolate/task_definition.ts";
import { startRedis } from "../servers/redis.ts";
import { startVhost } from "../servers/rabbitmq.ts";

let app: App;
const steps = {
  add: (x: number, y: number) => x + y,
  double: (x: number) => 2 * x,
  sum: (values: readonly number[]) => values.reduce((a, b) => a + b, 0),
};
const f = () => app.module<typeof steps>("t");
const t = {
  ...steps,
  chained: task({ bind: true }, (ctx, x: number) => ctx.replace(chain(f().add.s(x, 1), f().double.s()))),
  grouped: task({ bind: true }, (ctx, x: number) => ctx.replace(group([f().add.s(x, 1), f().double.s(x)]))),
  adds: task({ bind: true }, (ctx, x: number) => (ctx.addToChord(f().double.s(x)), x)),
};
const tasks = new Map(tasksOf(t, { name: "t", path: "t" }).map((task) => [task.name, task]));

interface Place {
  readonly broker: string;
  readonly backend?: string;
  close(): Promise<void>;
}

const PLACES: Readonly<Record<string, () => Promise<Place>>> = {
  SQLite: async () => {
    const folder = await mkdtemp(join(tmpdir(), "celeriac-replace-"));
    return { broker: `sqlite:${join(folder, "a.db")}`, close: () => rm(folder, { recursive: true }) };
  },
  Redis: async () => {
    const redis = await startRedis();
    return { broker: redis.url, close: async () => void await redis.stop() };
  },
  RabbitMQ: async () => {
    const vhost = await startVhost();
    return { broker: vhost.url, close: () => vhost.close() };
  },
  "RabbitMQ with results on Redis": async () => {
    const [vhost, redis] = await Promise.all([startVhost(), startRedis()]);
    const close = async () => void await Promise.all([vhost.close(), redis.stop()]);
    return { broker: vhost.url, backend: redis.url, close };
  },
};

for (const [name, open] of Object.entries(PLACES)) {
  describe(`a workflow that a task begins, on ${name}`, () => {
    let place: Place, worker: Worker;
    const counts = name !== "RabbitMQ";

    before(async () => {
      place = await open();
      app = new App({ broker: place.broker, ...(place.backend && { backend: place.backend }) });
      worker = new Worker({
        settings: app.settings,
        modules: [],
        concurrency: 1,
        slots: 4,
        isolates: (settings, listener) => new InProcessIsolate(settings, tasks, listener, systemClock),
      });
      await worker.start();
    });
    after(async () => {
      await worker?.kill();
      await app?.disconnect();
      await place?.close();
    });

    const own = () => app.module<typeof t>("t");

    it("has the result that its task's caller waits for", async () => {
      assert.equal(await own().chained(1), 4);
      const result = chain(own().double.s(1), own().chained.s(), own().add.s(100)).delay();
      assert.deepEqual([await result, await result.parent], [106, 6]);
    });

    it(
      counts ? "may be a group" : "is refused where it is a group, whose parts nobody could count",
      async () => {
        if (counts) return assert.deepEqual(await own().grouped(3), [4, 6]);
        await assert.rejects(own().grouped(3).get(), { name: "WorkflowError", message: /resultBackend/ });
      },
    );

    it(counts ? "is waited for by the chord that it is added to" : "can't be saved as a group", async () => {
      if (counts) {
        assert.equal(await chord([own().adds.s(1), own().double.s(50)], own().sum.s()).delay(), 1 + 2 + 100);
        const sent = group([own().double.s(1), own().chained.s(2)]).delay();
        await sent.save();
        const { group: restored } = (await app.GroupResult.restore(sent.id))!;
        assert.deepEqual(await restored, [2, 6]);
        await restored.delete();
        assert.equal(await app.GroupResult.restore(sent.id), null);
        return;
      }
      const sent = group([own().double.s(1), own().double.s(2)]).delay();
      await assert.rejects(sent.save(), { name: "WorkflowError", message: /keeps no groups/ });
      assert.deepEqual(await sent, [2, 4]);
    });
  });
}
