/** A message comes as it was published: order, batches, disjoint sets, fresh tags. */
import assert from "node:assert/strict";
import type { Delivery } from "../../../runtime/transport/transport.ts";
import {
  acks,
  idOf,
  idsOf,
  lengthOf,
  numbered,
  publish,
  take,
  taskMessage,
  type Test,
  work,
} from "./setting.ts";

/** A part of the suite that every transport passes. */
export function publishAndReceive(test: Test): void {
  test("delivers a batch in the order of its publication", async (broker) => {
    const peer = await broker.connect();
    const ids = numbered("m", 100);
    await publish(peer, "celery", ids);
    const { receiver } = await work(peer, ["celery"]);
    assert.deepEqual(idsOf(await take(receiver, 100)), ids);
  });

  test("delivers batches in the order of their publication", async (broker) => {
    const peer = await broker.connect();
    for (const id of numbered("m", 10)) await publish(peer, "celery", [id]);
    const { receiver } = await work(peer, ["celery"]);
    assert.deepEqual(idsOf(await take(receiver, 10)), numbered("m", 10));
  });

  test("fetches no more than there is room for, and nothing from an empty queue", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", numbered("m", 5));
    const { receiver } = await work(peer, ["celery"]);
    assert.deepEqual(idsOf(await receiver.exchange([], 2)), ["m1", "m2"]);
    assert.deepEqual(idsOf(await receiver.exchange([], 10)), ["m3", "m4", "m5"]);
    assert.deepEqual(await receiver.exchange([], 10), []);
  });

  test("fetches nothing without room", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", ["m1"]);
    const { receiver } = await work(peer, ["celery"]);
    assert.deepEqual(await receiver.exchange([], 0), []);
    const [delivery] = await receiver.exchange([], 1);
    assert.deepEqual(await receiver.exchange(acks([delivery]), 0), []);
    assert.deepEqual(await lengthOf(peer, "celery"), {
      queue: "celery",
      ready: 0,
      delayed: 0,
      unacked: 0,
      dead: 0,
    });
  });

  test("publishing nothing is harmless", async (broker) => {
    const peer = await broker.connect();
    await peer.transport.publish([]);
    const { receiver } = await work(peer, ["celery"]);
    assert.deepEqual(await receiver.exchange([], 1), []);
  });

  test("carries the message as kombu's envelope, whole", async (broker) => {
    const peer = await broker.connect();
    const body = new Uint8Array([0, 1, 254, 255, 123]);
    await peer.transport.publish([
      taskMessage("celery", "m1", {
        headers: { id: "m1", task: "Grüße.✓", stamps: { a: [1] } },
        priority: 3,
      }),
      taskMessage("celery", "m2", {
        body,
        contentType: "application/x-msgpack",
        contentEncoding: "binary",
      }),
    ]);
    const { receiver } = await work(peer, ["celery"]);
    const deliveries = await take(receiver, 2);
    const byId = new Map(deliveries.map((delivery) => [idOf(delivery), JSON.parse(delivery.text)]));
    const first = byId.get("m1");
    assert.deepEqual(first.headers, { id: "m1", task: "Grüße.✓", stamps: { a: [1] } });
    assert.equal(first["content-type"], "application/json");
    assert.equal(first["content-encoding"], "utf-8");
    assert.equal(first.properties.priority, 3);
    assert.equal(first.properties.correlation_id, "m1");
    assert.equal(first.properties.body_encoding, "base64");
    assert.deepEqual(first.properties.delivery_info, { exchange: "", routing_key: "celery" });
    const second = byId.get("m2");
    assert.equal(second["content-type"], "application/x-msgpack");
    assert.deepEqual(Uint8Array.from(atob(second.body), (char) => char.charCodeAt(0)), body);
    for (const delivery of deliveries) assert.equal(delivery.queue, "celery");
  });

  test("several exchanges of one receiver at once never hand out a message twice", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", numbered("m", 200));
    const { receiver } = await work(peer, ["celery"]);
    const batches = await Promise.all(Array.from({ length: 8 }, () => receiver.exchange([], 25)));
    assert.deepEqual(idsOf(batches.flat()).sort(), numbered("m", 200).sort());
  });

  test("two workers at once receive disjoint sets that are the whole", async (broker) => {
    const producer = await broker.connect();
    const ids = numbered("m", 500);
    await publish(producer, "celery", ids);
    const seen: string[] = [];
    await Promise.all([1, 2, 3].map(async () => {
      const { receiver } = await work(await broker.connect(), ["celery"]);
      let held: Delivery[] = [];
      do {
        held = await receiver.exchange(acks(held), 16);
        seen.push(...idsOf(held));
      } while (held.length > 0);
    }));
    assert.deepEqual(seen.sort(), [...ids].sort());
    assert.deepEqual(await lengthOf(producer, "celery"), {
      queue: "celery",
      ready: 0,
      delayed: 0,
      unacked: 0,
      dead: 0,
    });
  });

  test("tags are fresh for each delivery", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", ["m1"]);
    const { receiver } = await work(peer, ["celery"]);
    const tags = new Set<string | number>();
    for (let turn = 0; turn < 3; turn++) {
      const [delivery] = await receiver.exchange([], 1);
      tags.add(delivery.tag);
      await receiver.exchange([{ delivery, outcome: "return" }], 0);
    }
    assert.equal(tags.size, 3);
  });
}
