/** Which message is next: urgent priorities, and fair turns between queues. */
import assert from "node:assert/strict";
import { idsOf, lengthOf, numbered, publish, take, type Test, work } from "./setting.ts";

/** A part of the suite that every transport passes. */
export function turns(test: Test): void {
  test("urgent priorities go first", async (broker) => {
    const peer = await broker.connect();
    const steps = peer.transport.urgentPriority === 0 ? [0, 3, 6, 9] : [9, 6, 3, 0];
    for (const priority of [...steps].reverse()) {
      await publish(peer, "celery", [`p${priority}a`, `p${priority}b`], { priority });
    }
    const { receiver } = await work(peer, ["celery"]);
    const expected = steps.flatMap((priority) => [`p${priority}a`, `p${priority}b`]);
    assert.deepEqual(idsOf(await take(receiver, 8)), expected);
  });

  test("an urgent message overtakes those that wait", async (broker) => {
    const peer = await broker.connect();
    const urgent = peer.transport.urgentPriority;
    await publish(peer, "celery", numbered("m", 10), { priority: 9 - urgent });
    const { receiver } = await work(peer, ["celery"]);
    await receiver.exchange([], 3);
    await publish(peer, "celery", ["now"], { priority: urgent });
    assert.deepEqual(idsOf(await receiver.exchange([], 1)), ["now"]);
  });

  test("a batch has something of every queue, however full the others are", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "full", numbered("full", 300));
    await publish(peer, "scarce", ["scarce1"]);
    await publish(peer, "alsofull", numbered("alsofull", 300));
    const { receiver } = await work(peer, ["full", "scarce", "alsofull"]);
    const batch = await receiver.exchange([], 64);
    const count = (queue: string) => batch.filter((delivery) => delivery.queue === queue).length;
    assert.equal(batch.length, 64);
    assert.equal(count("scarce"), 1);
    assert.ok(count("full") >= 20, `${count("full")} of the first queue`);
    assert.ok(count("alsofull") >= 20, `${count("alsofull")} of the third queue`);
  });

  test("one at a time, the queues take turns", async (broker) => {
    const peer = await broker.connect();
    const queues = ["a", "b", "c"];
    for (const queue of queues) await publish(peer, queue, numbered(queue, 20));
    const { receiver } = await work(peer, queues);
    const turns = new Map(queues.map((queue) => [queue, 0]));
    for (let turn = 0; turn < 12; turn++) {
      const [delivery] = await receiver.exchange([], 1);
      turns.set(delivery.queue, turns.get(delivery.queue)! + 1);
    }
    assert.deepEqual([...turns.values()], [4, 4, 4]);
  });

  test("what one queue leaves of the room goes to the others", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "a", numbered("a", 50));
    const { receiver } = await work(peer, ["empty1", "a", "empty2", "empty3"]);
    assert.deepEqual(idsOf(await receiver.exchange([], 40)), numbered("a", 40));
  });

  test("a receiver gets nothing of queues that are not its own", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "a", ["a1"]);
    await publish(peer, "b", ["b1"]);
    const { receiver } = await work(peer, ["b"]);
    assert.deepEqual(idsOf(await take(receiver, 5)), ["b1"]);
    assert.equal((await lengthOf(peer, "a")).ready, 1);
  });
}
