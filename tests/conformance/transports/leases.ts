/** Workers that crash, pause and come back: nothing is lost, nothing settled by two. */
import assert from "node:assert/strict";
import type { Delivery, Receiver } from "../../../runtime/transport/transport.ts";
import { eventually, within } from "../patience.ts";
import {
  acks,
  headersOf,
  idOf,
  idsOf,
  lengthOf,
  numbered,
  publish,
  sent,
  success,
  take,
  taskMessage,
  type Test,
  type TestBroker,
  waysOf,
  work,
} from "./setting.ts";

/** A part of the suite that every transport passes. */
export function leases(test: Test): void {
  const leaseOf = (broker: TestBroker) => broker.lease * 1000;

  /** Lets leases pass until `check` holds; a restore takes at most a lease and a look more. */
  async function restored(broker: TestBroker, check: () => Promise<void>): Promise<void> {
    await broker.pass(leaseOf(broker) * 1.2);
    await eventually(async () => {
      await broker.pass(leaseOf(broker) / 4);
      await check();
    });
  }

  test("what a crashed worker held is restored by a peer after the lease, marked", async (broker) => {
    const first = await broker.connect();
    const second = await broker.connect();
    await publish(first, "celery", numbered("m", 10));
    const { receiver } = await work(first, ["celery"]);
    const other = await work(second, ["celery"]);
    const held = await take(receiver, 6);
    await receiver.exchange(acks(held.slice(0, 2)), 0);
    await sent(broker, first);
    assert.deepEqual(idsOf(await take(other.receiver, 10)), ["m7", "m8", "m9", "m10"]);
    await first.crash();
    const again: Delivery[] = [];
    await restored(broker, async () => {
      again.push(...await other.receiver.exchange([], 10));
      assert.equal(again.length, 4);
    });
    assert.deepEqual(idsOf(again).sort(), ["m3", "m4", "m5", "m6"]);
    const { countsCrashes = true, restoresAtOnce = false } = waysOf(second);
    for (const delivery of again) {
      assert.equal(headersOf(delivery).redelivered, true);
      assert.equal(headersOf(delivery).celeriac_deliveries, countsCrashes ? 1 : undefined);
    }
    assert.equal(other.heard.restorations, restoresAtOnce ? 0 : 4);
    assert.deepEqual(other.heard.losses, []);
  });

  test("a restore wakes up a waiting peer", async (broker) => {
    const first = await broker.connect();
    const second = await broker.connect();
    await publish(first, "celery", ["m1"]);
    const { receiver } = await work(first, ["celery"]);
    const other = await work(second, ["celery"]);
    await receiver.exchange([], 1);
    assert.deepEqual(await other.receiver.exchange([], 1), []);
    const arrived = other.receiver.arrival(AbortSignal.timeout(60_000));
    await first.crash();
    await broker.pass(leaseOf(broker) * 2);
    await within(10_000, arrived, "the restored message");
    await eventually(async () => assert.deepEqual(idsOf(await other.receiver.exchange([], 1)), ["m1"]));
  });

  test("is not restored before the lease has passed, where there are leases", async (broker) => {
    const first = await broker.connect();
    const second = await broker.connect();
    await publish(first, "celery", ["m1"]);
    const { receiver } = await work(first, ["celery"]);
    const other = await work(second, ["celery"]);
    await receiver.exchange([], 1);
    await first.crash();
    await broker.pass(leaseOf(broker) * 0.6);
    if (waysOf(second).restoresAtOnce) {
      await eventually(async () => assert.deepEqual(idsOf(await other.receiver.exchange([], 1)), ["m1"]));
    } else {
      assert.deepEqual(await other.receiver.exchange([], 1), []);
    }
    assert.equal(other.heard.restorations, 0);
  });

  test("what stood with a crashed worker is restored by one that starts later", async (broker) => {
    const first = await broker.connect();
    await publish(first, "celery", numbered("m", 3));
    const { receiver } = await work(first, ["celery"]);
    await take(receiver, 3);
    await first.crash();
    await broker.pass(leaseOf(broker) * 3);
    const other = await work(await broker.connect(), ["celery"]);
    const again: Delivery[] = [];
    await restored(broker, async () => {
      again.push(...await other.receiver.exchange([], 10));
      assert.equal(again.length, 3);
    });
  });

  test("a live worker keeps what it holds for much longer than the lease", async (broker) => {
    const first = await broker.connect();
    const second = await broker.connect();
    await publish(first, "celery", ["m1", "m2"]);
    const { receiver, heard } = await work(first, ["celery"]);
    const other = await work(second, ["celery"]);
    const held = await take(receiver, 2);
    await broker.pass(leaseOf(broker) * 4);
    assert.deepEqual(await other.receiver.exchange([], 5), []);
    await receiver.exchange(acks(held), 0);
    assert.deepEqual(heard.losses, []);
    assert.equal(other.heard.restorations, 0);
    assert.equal((await lengthOf(first, "celery")).unacked, 0);
  });

  test("a paused worker that comes back finds its deliveries lost, its settlement not done", async (broker) => {
    const first = await broker.connect();
    const second = await broker.connect();
    await publish(first, "celery", ["m1", "m2"]);
    const { receiver, heard } = await work(first, ["celery"]);
    const other = await work(second, ["celery"]);
    const held = await take(receiver, 2);
    first.pause();
    const again: Delivery[] = [];
    await restored(broker, async () => {
      again.push(...await other.receiver.exchange([], 10));
      assert.equal(again.length, 2);
    });
    await receiver.exchange([
      {
        delivery: held[0],
        outcome: "ack",
        result: success("m1", "stale"),
        follow: [taskMessage("next", "f1")],
      },
      { delivery: held[1], outcome: "return" },
    ], 0);
    assert.deepEqual(idsOf(heard.losses).sort(), ["m1", "m2"]);
    assert.deepEqual(await first.results.fetch(["m1"]), [null]);
    assert.equal((await lengthOf(second, "next")).ready, 0);
    assert.deepEqual(await lengthOf(second, "celery"), {
      queue: "celery",
      ready: 0,
      delayed: 0,
      unacked: 2,
      dead: 0,
    });
    await other.receiver.exchange(acks(again), 0);
    assert.deepEqual(other.heard.losses, []);
    assert.equal((await lengthOf(second, "celery")).unacked, 0);
  });

  test("a paused worker that comes back hears of its loss by itself, and goes on", async (broker) => {
    const first = await broker.connect();
    const second = await broker.connect();
    await publish(first, "celery", ["m1"]);
    const { receiver, heard } = await work(first, ["celery"]);
    const other = await work(second, ["celery"]);
    await take(receiver, 1);
    first.pause();
    const again: Delivery[] = [];
    await restored(broker, async () => {
      again.push(...await other.receiver.exchange([], 10));
      assert.equal(again.length, 1);
    });
    await first.resume();
    await eventually(async () => {
      await broker.pass(leaseOf(broker) / 4);
      assert.deepEqual(idsOf(heard.losses), ["m1"]);
    });
    await publish(second, "celery", ["m2"]);
    const [delivery] = await receiver.exchange([], 1);
    assert.equal(idOf(delivery), "m2");
    await broker.pass(leaseOf(broker) * 3);
    await receiver.exchange(acks([delivery]), 0);
    assert.equal(heard.losses.length, 1);
  });

  test("a worker that crashes after it settled leaves what followed, and no more of what it settled", async (broker) => {
    const first = await broker.connect();
    const second = await broker.connect();
    await publish(first, "celery", ["m1", "m2"]);
    const { receiver } = await work(first, ["celery"]);
    const held = await take(receiver, 2);
    await receiver.exchange(
      [{ delivery: held[0], outcome: "ack", result: success("m1"), follow: [taskMessage("celery", "f1")] }],
      0,
    );
    await sent(broker, first);
    await first.crash();
    const other = await work(second, ["celery"]);
    const seen: Delivery[] = [];
    await restored(broker, async () => {
      seen.push(...await other.receiver.exchange([], 10));
      assert.equal(seen.length, 2);
    });
    assert.deepEqual(idsOf(seen).sort(), ["f1", "m2"]);
    await broker.pass(leaseOf(broker) * 2);
    assert.deepEqual(await other.receiver.exchange([], 10), []);
  });

  test("a worker that crashes right after a fetch that settled leaves the fetched ones alone", async (broker) => {
    const first = await broker.connect();
    const second = await broker.connect();
    await publish(first, "celery", numbered("m", 4));
    const { receiver } = await work(first, ["celery"]);
    const held = await take(receiver, 2);
    assert.deepEqual(idsOf(await receiver.exchange(acks(held), 2)), ["m3", "m4"]);
    await sent(broker, first);
    await first.crash();
    const other = await work(second, ["celery"]);
    const seen: Delivery[] = [];
    await restored(broker, async () => {
      seen.push(...await other.receiver.exchange([], 10));
      assert.equal(seen.length, 2);
    });
    assert.deepEqual(idsOf(seen).sort(), ["m3", "m4"]);
  });

  test("many that crash one after the other count up to a dead letter, where that is counted", async (broker) => {
    const publisher = await broker.connect();
    await publish(publisher, "celery", ["poison"]);
    if (waysOf(publisher).countsCrashes === false) return await comesAgainAndAgain(broker);
    for (let count = 0; count < 2; count++) {
      const peer = await broker.connect({ maxDeliveries: 2 });
      const { receiver } = await work(peer, ["celery"]);
      await restoredDelivery(broker, receiver, count);
      await peer.crash();
    }
    const last = await broker.connect({ maxDeliveries: 2 });
    const { receiver, heard } = await work(last, ["celery"]);
    await restoredDelivery(broker, receiver, 2);
    await last.crash();
    const end = await broker.connect({ maxDeliveries: 2 });
    const survivor = await work(end, ["celery"]);
    await restored(broker, async () => {
      assert.deepEqual(await survivor.receiver.exchange([], 1), []);
      assert.equal((await lengthOf(end, "celery")).dead, 1);
    });
    assert.deepEqual(heard.deaths, []);
    assert.equal(survivor.heard.deaths.length, 1);
  });

  async function comesAgainAndAgain(broker: TestBroker): Promise<void> {
    for (let crash = 0; crash < 4; crash++) {
      const peer = await broker.connect({ maxDeliveries: 2 });
      const { receiver, heard } = await work(peer, ["celery"]);
      await eventually(async () => {
        const [delivery] = await receiver.exchange([], 1);
        assert.equal(headersOf(delivery).redelivered, crash === 0 ? undefined : true);
      });
      assert.deepEqual(heard.deaths, []);
      await peer.crash();
    }
  }

  async function restoredDelivery(broker: TestBroker, receiver: Receiver, count: number): Promise<void> {
    await eventually(async () => {
      const [delivery] = await receiver.exchange([], 1);
      if (delivery === undefined) await broker.pass(leaseOf(broker) / 2);
      assert.equal(headersOf(delivery).celeriac_deliveries ?? 0, count);
    });
  }

  test("what is held when the receiver closes is not lost", async (broker) => {
    const first = await broker.connect();
    const second = await broker.connect();
    await publish(first, "celery", numbered("m", 3));
    const { receiver } = await work(first, ["celery"]);
    await take(receiver, 3);
    await receiver[Symbol.asyncDispose]();
    const other = await work(second, ["celery"]);
    const again: Delivery[] = [];
    await restored(broker, async () => {
      again.push(...await other.receiver.exchange([], 10));
      assert.equal(again.length, 3);
    });
  });
}
