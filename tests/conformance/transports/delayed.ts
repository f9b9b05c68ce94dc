/** Messages that are held back until their time. */
import assert from "node:assert/strict";
import { eventually, within } from "../patience.ts";
import {
  assertSame,
  delayedCount,
  idsOf,
  lengthOf,
  numbered,
  publish,
  sent,
  take,
  type Test,
  work,
} from "./setting.ts";

/** A part of the suite that every transport passes. */
export function delayed(test: Test): void {
  test("come back when they are due, not before, unmarked", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", ["m1"]);
    const { receiver } = await work(peer, ["celery"]);
    const [delivery] = await receiver.exchange([], 1);
    await receiver.exchange([{ delivery, outcome: "delay", due: broker.now() + 1_000 }], 0);
    assert.deepEqual(await lengthOf(peer, "celery"), {
      queue: "celery",
      ready: 0,
      delayed: delayedCount(peer, 1),
      unacked: 0,
      dead: 0,
    });
    assert.deepEqual(await receiver.exchange([], 1), []);
    const arrived = receiver.arrival(AbortSignal.timeout(20_000));
    await broker.pass(1_500);
    await within(5_000, arrived, "the delayed message");
    const [again] = await receiver.exchange([], 1);
    assertSame(peer, again, delivery);
    assert.equal(again.queue, "celery");
  });

  test("are moved by another worker when the one that delayed them is gone", async (broker) => {
    const first = await broker.connect();
    const second = await broker.connect();
    await publish(first, "celery", ["m1"]);
    const { receiver } = await work(first, ["celery"]);
    const other = await work(second, ["celery"]);
    const [delivery] = await receiver.exchange([], 1);
    await receiver.exchange([{ delivery, outcome: "delay", due: broker.now() + 1_500 }], 0);
    await sent(broker, first);
    await first.crash();
    assert.deepEqual(await other.receiver.exchange([], 1), []);
    const arrived = other.receiver.arrival(AbortSignal.timeout(20_000));
    await broker.pass(2_000);
    await within(5_000, arrived, "the delayed message");
    const [again] = await other.receiver.exchange([], 1);
    assertSame(first, again, delivery);
  });

  test("are fetched by a busy worker that never waits", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", ["m1"]);
    const { receiver } = await work(peer, ["celery"]);
    const [delivery] = await receiver.exchange([], 1);
    await receiver.exchange([{ delivery, outcome: "delay", due: broker.now() + 200 }], 0);
    await broker.pass(1_000);
    await eventually(async () => {
      await broker.pass(10);
      assert.deepEqual(idsOf(await receiver.exchange([], 1)), ["m1"]);
    });
  });

  test("keep the order of their times", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", ["later", "sooner"]);
    const { receiver } = await work(peer, ["celery"]);
    const [later, sooner] = await take(receiver, 2);
    await receiver.exchange([
      { delivery: later, outcome: "delay", due: broker.now() + 1_500 },
      { delivery: sooner, outcome: "delay", due: broker.now() + 300 },
    ], 0);
    const seen: string[] = [];
    await eventually(async () => {
      await broker.pass(100);
      seen.push(...idsOf(await receiver.exchange([], 5)));
      assert.deepEqual(seen, ["sooner", "later"]);
    });
  });

  test("a thousand due at once all come", async (broker) => {
    const peer = await broker.connect();
    const ids = numbered("m", 1000);
    await publish(peer, "celery", ids);
    const { receiver } = await work(peer, ["celery"]);
    const held = await take(receiver, 1000);
    const due = broker.now() + 2_000;
    await receiver.exchange(held.map((delivery) => ({ delivery, outcome: "delay", due })), 0);
    assert.equal((await lengthOf(peer, "celery")).delayed, delayedCount(peer, 1000));
    const seen: string[] = [];
    await eventually(async () => {
      await broker.pass(200);
      seen.push(...idsOf(await receiver.exchange([], 500)));
      assert.equal(seen.length, 1000);
    });
    assert.deepEqual(seen.sort(), ids.sort());
  });
}
