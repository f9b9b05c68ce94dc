/** Waiting without polling: woken by the broker, ended by a signal or a close. */
import assert from "node:assert/strict";
import { eventually, within } from "../patience.ts";
import { acks, idsOf, numbered, publish, type Test, work } from "./setting.ts";

/** A part of the suite that every transport passes. */
export function waiting(test: Test): void {
  const soon = 800;

  test("wakes up when another process publishes", async (broker) => {
    const producer = await broker.connect();
    const { receiver } = await work(await broker.connect(), ["celery"]);
    for (const id of numbered("m", 5)) {
      assert.deepEqual(await receiver.exchange([], 1), []);
      const arrived = receiver.arrival(AbortSignal.timeout(20_000));
      await publish(producer, "celery", [id]);
      await within(soon, arrived, `the arrival of ${id}`);
      assert.deepEqual(idsOf(await receiver.exchange([], 1)), [id]);
    }
  });

  test("wakes up when its own process publishes", async (broker) => {
    const peer = await broker.connect();
    const { receiver } = await work(peer, ["celery"]);
    assert.deepEqual(await receiver.exchange([], 1), []);
    const arrived = receiver.arrival(AbortSignal.timeout(20_000));
    await publish(peer, "celery", ["m1"]);
    await within(soon, arrived, "the arrival");
  });

  test("wakes up for any of several queues and any priority", async (broker) => {
    const producer = await broker.connect();
    const queues = ["a", "b", "c", "d", "e"];
    const { receiver } = await work(await broker.connect(), queues);
    for (const [index, queue] of queues.entries()) {
      assert.deepEqual(await receiver.exchange([], 1), []);
      const arrived = receiver.arrival(AbortSignal.timeout(20_000));
      await publish(producer, queue, [queue], { priority: (index * 3) % 10 });
      await within(soon, arrived, `the arrival in ${queue}`);
      assert.deepEqual(idsOf(await receiver.exchange([], 1)), [queue]);
    }
  });

  test("does not miss what came between the empty exchange and the wait", async (broker) => {
    const producer = await broker.connect();
    const { receiver } = await work(await broker.connect(), ["celery"]);
    assert.deepEqual(await receiver.exchange([], 1), []);
    await publish(producer, "celery", ["m1"]);
    await within(soon, receiver.arrival(AbortSignal.timeout(20_000)), "the arrival");
    assert.deepEqual(idsOf(await receiver.exchange([], 1)), ["m1"]);
  });

  test("wakes up for what another worker hands back", async (broker) => {
    const first = await work(await broker.connect(), ["celery"]);
    const peer = await broker.connect();
    const second = await work(peer, ["celery"]);
    await publish(peer, "celery", ["m1"]);
    const [delivery] = await first.receiver.exchange([], 1);
    assert.deepEqual(await second.receiver.exchange([], 1), []);
    const arrived = second.receiver.arrival(AbortSignal.timeout(20_000));
    await first.receiver.exchange([{ delivery, outcome: "return" }], 0);
    await within(soon, arrived, "the arrival");
    assert.deepEqual(idsOf(await second.receiver.exchange([], 1)), ["m1"]);
  });

  test("of several waiting workers one at least gets the message", async (broker) => {
    const producer = await broker.connect();
    const workers = await Promise.all(
      [1, 2, 3, 4].map(async () => work(await broker.connect(), ["celery"])),
    );
    const stop = new AbortController();
    const seen: string[] = [];
    const loops = workers.map(async ({ receiver }) => {
      while (!stop.signal.aborted) {
        const deliveries = await receiver.exchange([], 1);
        seen.push(...idsOf(deliveries));
        if (deliveries.length > 0) await receiver.exchange(acks(deliveries), 0);
        else await receiver.arrival(stop.signal).catch(() => {});
      }
    });
    for (const id of numbered("m", 20)) {
      await publish(producer, "celery", [id]);
      await eventually(() => assert.ok(seen.includes(id)), 10_000);
    }
    stop.abort();
    await within(5_000, Promise.all(loops), "the workers' end");
    assert.deepEqual(seen.sort(), numbered("m", 20).sort());
  });

  test("stops waiting with the signal's reason", async (broker) => {
    const { receiver } = await work(await broker.connect(), ["celery"]);
    const abort = new AbortController();
    const reason = new Error("enough");
    const waiting = assert.rejects(receiver.arrival(abort.signal), (error) => error === reason);
    abort.abort(reason);
    await within(soon, waiting, "the end of the wait");
    await assert.rejects(receiver.arrival(abort.signal), (error) => error === reason);
  });

  test("closing a receiver ends its wait", async (broker) => {
    const { receiver } = await work(await broker.connect(), ["celery"]);
    await receiver.exchange([], 1);
    const ended = receiver.arrival(AbortSignal.timeout(20_000)).then(() => "ended", () => "ended");
    await receiver[Symbol.asyncDispose]();
    assert.equal(await within(soon, ended, "the end of the wait"), "ended");
  });

  test("closing the transport ends the waits of its receivers", async (broker) => {
    const peer = await broker.connect();
    const { receiver } = await work(peer, ["celery"]);
    await receiver.exchange([], 1);
    const ended = receiver.arrival(AbortSignal.timeout(20_000)).then(() => "ended", () => "ended");
    await peer.close();
    assert.equal(await within(soon * 3, ended, "the end of the wait"), "ended");
  });

  test("closing twice is harmless", async (broker) => {
    const peer = await broker.connect();
    const { receiver } = await work(peer, ["celery"]);
    await receiver[Symbol.asyncDispose]();
    await receiver[Symbol.asyncDispose]();
    await peer.transport[Symbol.asyncDispose]();
    await peer.transport[Symbol.asyncDispose]();
  });
}
