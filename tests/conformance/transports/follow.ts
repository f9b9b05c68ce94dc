/** What follows a task: published in the step that settles it, as if it had been published alone. */
import assert from "node:assert/strict";
import type { Settlement } from "../../../runtime/transport/transport.ts";
import { eventually } from "../patience.ts";
import {
  delayedCount,
  headersOf,
  idsOf,
  lengthOf,
  numbered,
  publish,
  sent,
  success,
  take,
  taskMessage,
  type Test,
  type TransportHarness,
  work,
} from "./setting.ts";

/** A part of the suite that every transport passes. */
export function follow(test: Test, harness: TransportHarness): void {
  test("goes out with every outcome", async (broker) => {
    const peer = await broker.connect();
    await peer.transport.declare(["next"]);
    await publish(peer, "celery", numbered("m", 5));
    const { receiver } = await work(peer, ["celery"]);
    const held = await take(receiver, 5);
    const outcomes: Omit<Settlement, "delivery">[] = [
      { outcome: "ack" },
      { outcome: "return" },
      { outcome: "restore" },
      { outcome: "delay", due: broker.now() + 3_600_000 },
      { outcome: "dead", reason: "no" },
    ];
    const settlements = outcomes.map((settlement, i) => ({
      ...settlement,
      delivery: held[i],
      follow: [taskMessage("next", `f${i + 1}`)],
    }));
    await receiver.exchange(settlements, 0);
    const next = await work(await broker.connect(), ["next"]);
    assert.deepEqual(idsOf(await take(next.receiver, 6)).sort(), numbered("f", 5));
    const { ready, delayed, unacked, dead } = await lengthOf(peer, "celery");
    assert.deepEqual([ready, delayed, unacked, dead], [2, delayedCount(peer, 1), 0, 1]);
  });

  test("is the same message as one that is published alone, with its time and priority", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", ["m1"]);
    const { receiver } = await work(peer, ["celery"]);
    const [delivery] = await receiver.exchange([], 1);
    const message = taskMessage("next", "f1", {
      priority: 6,
      headers: {
        ...taskMessage("next", "f1").headers,
        eta: "2035-01-02T03:04:05.678+00:00",
        mine: [1, { a: null }],
      },
      replyTo: "a-queue-of-replies",
    });
    await peer.transport.publish([message]);
    await receiver.exchange([{ delivery, outcome: "ack", follow: [message] }], 0);
    const next = await work(await broker.connect(), ["next"]);
    const [alone, followed] = (await take(next.receiver, 2)).map(({ text }) => {
      const { properties: { delivery_tag: _, ...properties }, ...rest } = JSON.parse(text);
      return { ...rest, properties };
    });
    assert.deepEqual(followed, alone);
    assert.equal(followed.properties.priority, 6);
    // Held back by the worker that receives it, as any other with a time to come.
    assert.equal(followed.headers.eta, "2035-01-02T03:04:05.678+00:00");
  });

  test("goes to every queue that its exchange leads to", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", ["m1"]);
    await peer.transport.declare(["one", "two", "three"]);
    await peer.transport.bind("steps", "key", "one");
    await peer.transport.bind("steps", "key", "two");
    await peer.transport.bind("steps", "otherkey", "three");
    const { receiver } = await work(peer, ["celery"]);
    const [delivery] = await receiver.exchange([], 1);
    const message = taskMessage("", "f1", { exchange: "steps", routingKey: "key" });
    await receiver.exchange([{ delivery, outcome: "ack", follow: [message] }], 0);
    await eventually(async () => {
      const lengths = await peer.transport.lengths(["one", "two", "three"]);
      assert.deepEqual(lengths.map(({ ready }) => ready), [1, 1, 0]);
    });
    const { receiver: one } = await work(await broker.connect(), ["one"]);
    assert.deepEqual((await take(one, 1)).map((step) => headersOf(step).id), ["f1"]);
  });

  test("may be many messages of many tasks, in order", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", numbered("m", 100));
    const { receiver } = await work(peer, ["celery"]);
    const held = await take(receiver, 100);
    const settlements = held.map((delivery, i): Settlement => ({
      delivery,
      outcome: "ack",
      follow: Array.from({ length: 20 }, (_, n) => taskMessage("next", `f${i * 20 + n + 1}`)),
    }));
    await receiver.exchange(settlements, 0);
    const next = await work(await broker.connect(), ["next"]);
    assert.deepEqual(idsOf(await take(next.receiver, 2_001)), numbered("f", 2_000));
  });

  test("of a task whose worker crashes after it has settled is there for others", async (broker) => {
    const first = await broker.connect();
    const second = await broker.connect();
    await publish(first, "celery", ["m1", "m2"]);
    const { receiver } = await work(first, ["celery"]);
    const other = await work(second, ["next", "celery"]);
    const [m1] = await take(receiver, 2);
    await receiver.exchange([{ delivery: m1, outcome: "ack", follow: [taskMessage("next", "f1")] }], 0);
    await sent(broker, first);
    await first.crash();
    // Beside it there may be what the first one has not settled.
    const seen: string[] = [];
    await eventually(async () => {
      seen.push(...idsOf(await other.receiver.exchange([], 2)));
      assert.ok(seen.includes("f1"));
    });
  });

  if (harness.storesResults) {
    test("is there before anybody hears of the result", async (broker) => {
      const peer = await broker.connect();
      const caller = await broker.connect();
      await publish(peer, "celery", ["m1"]);
      const ready: Promise<number>[] = [];
      const watch = caller.results.watch(() =>
        ready.push(lengthOf(caller, "next").then(({ ready }) => ready))
      );
      await watch.add(["m1"]);
      const { receiver } = await work(peer, ["celery"]);
      const [delivery] = await receiver.exchange([], 1);
      const step = taskMessage("next", "f1");
      await receiver.exchange([{ delivery, outcome: "ack", result: success("m1"), follow: [step] }], 0);
      await eventually(() => assert.ok(ready.length > 0));
      assert.equal(await ready[0], 1);
      await watch[Symbol.asyncDispose]();
    });
  }
}
