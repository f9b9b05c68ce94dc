/** Starts that are counted before they happen, for the worker that will not live to tell. */
import assert from "node:assert/strict";
import { eventually } from "../patience.ts";
import { acks, headersOf, idsOf, lengthOf, numbered, publish, take, type Test, work } from "./setting.ts";

/** A part of the suite that every transport passes; those that can't count starts say so by having no means. */
export function countedStarts(test: Test): void {
  test("counts a start where the message is, which stays with its worker", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", numbered("m", 3));
    const { receiver } = await work(peer, ["celery"]);
    if (receiver.countStart === undefined) return assert.ok(peer.transport.ways?.restoresAtOnce);
    const held = await take(receiver, 3);
    assert.equal(await receiver.countStart(held[1]), true);
    assert.equal(headersOf(held[1]).celeriac_deliveries, 1);
    assert.equal(headersOf(held[1]).redelivered, true);
    assert.equal(await receiver.countStart(held[1]), true);
    assert.equal(headersOf(held[1]).celeriac_deliveries, 2);
    assert.equal((await lengthOf(peer, "celery")).unacked, 3);
    await receiver.exchange(held.map((delivery) => ({ delivery, outcome: "return" })), 0);
    const again = await take(receiver, 3);
    assert.deepEqual(idsOf(again), ["m1", "m2", "m3"]);
    assert.deepEqual(again.map((delivery) => headersOf(delivery).celeriac_deliveries), [
      undefined,
      2,
      undefined,
    ]);
    await receiver.exchange(acks(again), 0);
    assert.equal(await receiver.countStart(again[0]), false);
  });

  test("keeps the count of a start when its worker dies, and adds its own", async (broker) => {
    const first = await broker.connect();
    const second = await broker.connect();
    await publish(first, "celery", ["guilty", "innocent"]);
    const { receiver } = await work(first, ["celery"]);
    const other = await work(second, ["celery"]);
    if (receiver.countStart === undefined) return assert.ok(first.transport.ways?.restoresAtOnce);
    const held = await take(receiver, 2);
    await receiver.countStart(held[0]);
    await first.crash();
    await broker.pass(broker.lease * 1200);
    const counts = new Map<string, unknown>();
    await eventually(async () => {
      await broker.pass(broker.lease * 250);
      for (const delivery of await other.receiver.exchange([], 10)) {
        counts.set(idsOf([delivery])[0], headersOf(delivery).celeriac_deliveries);
      }
      assert.deepEqual(counts, new Map([["guilty", 2], ["innocent", 1]]));
    });
  });

  test("marks and does not count what was interrupted by others", async (broker) => {
    const peer = await broker.connect({ maxDeliveries: 1 });
    await publish(peer, "celery", ["m1"]);
    const { receiver } = await work(peer, ["celery"]);
    for (let round = 0; round < 3; round++) {
      const [delivery] = await eventually(async () => {
        const held = await take(receiver, 1);
        assert.equal(held.length, 1);
        return held;
      });
      const { redelivered, celeriac_deliveries: count = 0 } = headersOf(delivery);
      assert.equal(count, 0);
      if (round > 0) assert.equal(redelivered, true);
      await receiver.exchange([{ delivery, outcome: "again" }], 0);
    }
  });

  test("gives what was restored too often, so that its caller can be told", async (broker) => {
    const peer = await broker.connect({ maxDeliveries: 1 });
    await publish(peer, "celery", ["m1"]);
    const { receiver, heard } = await work(peer, ["celery"]);
    for (let round = 0; round < 2; round++) {
      const held = await eventually(async () => {
        const held = await take(receiver, 1);
        assert.equal(held.length, 1);
        return held;
      });
      await receiver.exchange([{ delivery: held[0], outcome: "restore" }], 0);
    }
    await eventually(() => assert.equal(heard.deaths.length, 1));
    assert.equal(JSON.parse(heard.deaths[0].message!.text).headers.id, "m1");
  });
}
