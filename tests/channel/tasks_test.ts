/** Running tasks and their callers exchange messages, in isolates, over each kind of channel. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { App, Consumer, Producer } from "../../mod.ts";
import { within } from "../conformance/patience.ts";
import { startVhost, type TestVhost } from "../servers/rabbitmq.ts";
import { type RedisServer, startRedis } from "../servers/redis.ts";
import { freshBroker, setUp } from "../worker/in_process.ts";

const MODULES = ["tests/channel/tasks.ts"];
const SOON = 15_000;

let redis: RedisServer;
let rabbitmq: TestVhost;
let folder: string;
let files = 0;

before(async () => {
  [redis, rabbitmq] = await Promise.all([startRedis(), startVhost()]);
  folder = await mkdtemp(join(tmpdir(), "celeriac-"));
});
after(async () => {
  await Promise.all([redis.stop(), rabbitmq.close()]);
  await rm(folder, { recursive: true });
});

async function listOf<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const message of messages) list.push(message);
  return list;
}

const brokers: Record<string, () => string> = {
  memory: freshBroker,
  sqlite: () => `sqlite:${join(folder, `${++files}.db`)}?synchronous=normal`,
  redis: () => redis.url,
  amqp: () => rabbitmq.url,
};

for (const [name, broker] of Object.entries(brokers)) {
  describe(`messages of running tasks on ${name}`, () => {
    let set: ReturnType<typeof setUp>;
    before(async () => {
      set = setUp({}, broker());
      await set.worker(MODULES, { slots: 4 });
    });
    after(() => set.close());

    it("come to the caller, in order, and end with the task", async () => {
      const result = set.app.sendTask("tasks.count", [5_000]);
      const read = await within(SOON, listOf(result.messages<number>()), "all messages");
      assert.deepEqual(read, Array.from({ length: 5_000 }, (_, n) => n));
      assert.equal(await result, 5_000);
      assert.deepEqual(await listOf(result.messages()), []);
    });

    it("may be sent without waiting", async () => {
      const result = set.app.sendTask("tasks.countAtOnce", [3_000]);
      assert.equal(await result, "sent");
      const read = await listOf(result.messages<{ n: number }>());
      assert.deepEqual(read.map(({ n }) => n), Array.from({ length: 3_000 }, (_, n) => n));
    });

    it("go both ways", async () => {
      const result = set.app.sendTask("tasks.echo");
      const heard: string[] = [];
      await result.send("one");
      for await (const word of result.messages<string>()) {
        heard.push(word);
        if (heard.length === 3) await result.sendEnd();
        else await result.send(heard.length === 1 ? "two" : "three");
      }
      assert.deepEqual(heard, ["ONE", "TWO", "THREE"]);
      assert.equal(await result, 3);
    });

    it("are left to others where a task does not read them", async () => {
      const result = set.app.sendTask("tasks.first");
      for (const message of ["a", "b", "c"]) await result.send(message);
      assert.equal(await within(SOON, result, "the result"), "a");
      const rest = new Consumer(result.id, { url: set.broker, direction: "to-task" });
      assert.deepEqual([await rest.get(), await rest.get()], ["b", "c"]);
      await rest.close();
    });

    it("are left where they are when the isolate dies", async () => {
      const result = set.app.sendTask("tasks.die");
      for (const message of ["a", "b", "c"]) await result.send(message);
      await assert.rejects(within(SOON, result.get(), "the failure"), { type: "WorkerLostError" });
      const rest = new Consumer(result.id, { url: set.broker, direction: "to-task" });
      assert.deepEqual([await rest.get(), await rest.get(), await rest.get()], ["a", "b", "c"]);
      await rest.close();
    });

    it("are all there when the task has failed", async () => {
      const result = set.app.sendTask("tasks.fail");
      assert.deepEqual(await within(SOON, listOf(result.messages()), "the end"), ["before"]);
      await assert.rejects(result.get(), { type: "RangeError" });
    });

    it("are there without a result, for a consumer alone", async () => {
      const { id } = set.app.sendTask("tasks.noResult");
      const consumer = new Consumer(id, { url: set.broker });
      assert.deepEqual(await within(SOON, listOf(consumer), "the end"), ["all there is"]);
      await consumer.close();
    });

    it("can be sent by a producer alone", async () => {
      const result = set.app.sendTask("tasks.echo");
      const producer = new Producer(result.id, { url: set.broker, direction: "to-task" });
      await producer.sendMessages(["a", "b"]);
      await producer.end();
      await producer.close();
      assert.deepEqual(await within(SOON, listOf(result.messages()), "the echo"), ["A", "B"]);
    });

    it("fail the task that nobody makes room for", async () => {
      const result = set.app.sendTask("tasks.flood");
      await assert.rejects(within(SOON, result.get(), "the failure"), {
        type: "ChannelFullError",
        message: /no room in celeriac\.to-client\..* for 0\.2 s: nobody reads its messages/,
      });
      assert.deepEqual(await listOf(result.messages()), [0, 1, 2, 3, 4]);
    });

    it("or the last ones stay", async () => {
      const result = set.app.sendTask("tasks.latest");
      await within(SOON, result, "the result");
      // The end of the stream is one of the three.
      assert.deepEqual(await listOf(result.messages()), [2_998, 2_999]);
    });

    it("that JSON can't carry fail the task", async () => {
      const result = set.app.sendTask("tasks.badMessage");
      await assert.rejects(within(SOON, result.get(), "the failure"), { type: "UnserializableError" });
    });

    it("need not be waited for longer than one likes", async () => {
      assert.equal(
        await within(SOON, set.app.sendTask("tasks.impatient"), "the end of patience"),
        "TimeoutError",
      );
    });

    it("may be none", async () => {
      const result = set.app.sendTask("tasks.silent");
      assert.deepEqual(await within(SOON, listOf(result.messages()), "the end"), []);
    });

    it("tell how far a task has come", async () => {
      const result = set.app.sendTask("tasks.steps", [3]);
      const told: unknown[] = [];
      const end = result.onProgress((progress) => {
        told.push(progress);
        void result.send("go on");
      });
      assert.equal(await within(SOON, result, "the result"), "done");
      assert.deepEqual(told, [{ current: 1, total: 3 }, { current: 2, total: 3 }, { current: 3, total: 3 }]);
      end();
    });

    it("end with a signal, or with the app", async () => {
      const result = set.app.sendTask("tasks.echo");
      const leave = new AbortController();
      const left = assert.rejects(listOf(result.messages({ signal: leave.signal })), /left/);
      leave.abort(new Error("left"));
      await left;
      await result.sendEnd();
      assert.equal(await result, 0);
      const other = new App({ broker: set.broker });
      const waiting = assert.rejects(listOf(other.AsyncResult("nobody's").messages()), /disconnected|closed/);
      await other.disconnect();
      await within(SOON, waiting, "the end of the waiting");
    });
  });
}
