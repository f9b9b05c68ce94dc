/** What operators ask of queues, and direct exchanges. */
import assert from "node:assert/strict";
import {
  delayedCount,
  idOf,
  idsOf,
  lengthOf,
  numbered,
  publish,
  take,
  taskMessage,
  type Test,
  waysOf,
  work,
} from "./setting.ts";
import type { WireMessage } from "../../../runtime/protocol/wire_message.ts";
import { PublishError } from "../../../runtime/transport/transport.ts";
import type { Peer } from "./setting.ts";

/** Publishes a batch, of which the message at `index` leads nowhere: on some brokers that is an error, of it alone. */
async function publishNowhere(peer: Peer, messages: readonly WireMessage[], index: number): Promise<void> {
  const published = peer.transport.publish(messages);
  if (!waysOf(peer).tellsUnroutable) return await published;
  await assert.rejects(published, (error) => {
    assert.ok(error instanceof PublishError);
    assert.deepEqual([...error.failures.keys()], [index]);
    return error.failures.get(index)!.name === "UnroutableError";
  });
}

/** A part of the suite that every transport passes. */
export function queues(test: Test): void {
  test("tells lengths of the queues asked for, or of all it knows", async (broker) => {
    const peer = await broker.connect();
    await peer.transport.declare(["declared", "busy"]);
    await publish(peer, "busy", numbered("m", 3));
    await publish(peer, "published", ["m4"]);
    const lengths = await peer.transport.lengths(["busy", "declared", "unheard"]);
    assert.deepEqual(lengths.map(({ queue, ready }) => [queue, ready]), [["busy", 3], ["declared", 0], [
      "unheard",
      0,
    ]]);
    const known = new Map((await peer.transport.lengths()).map((length) => [length.queue, length.ready]));
    assert.equal(known.get("busy"), 3);
    assert.equal(known.get("published"), 1);
  });

  test("counts every priority", async (broker) => {
    const peer = await broker.connect();
    for (const priority of [0, 3, 6, 9]) await publish(peer, "celery", [`m${priority}`], { priority });
    assert.equal((await lengthOf(peer, "celery")).ready, 4);
    assert.equal(await peer.transport.purge("celery"), 4);
  });

  test("counts a message that moves once, in one of its places", async (broker) => {
    const peer = await broker.connect();
    const other = await broker.connect();
    const { receiver } = await work(peer, ["celery"]);
    const seen = new Set<number>();
    let moving = true;
    const looking = (async () => {
      while (moving) {
        const { ready, delayed, unacked, dead } = await lengthOf(other, "celery");
        seen.add(ready + delayed + unacked + dead);
      }
    })();
    await publish(peer, "celery", ["m0"]);
    for (let i = 1; i <= 100; i++) {
      const [delivery] = await take(receiver, 1);
      await receiver.exchange([{ delivery, outcome: "return" }], 0);
    }
    const [delivery] = await take(receiver, 1);
    await receiver.exchange([{ delivery, outcome: "delay", due: broker.now() + 3_600_000 }], 0);
    moving = false;
    await looking;
    seen.delete(0);
    assert.deepEqual([...seen], [1]);
  });

  test("purges what is ready or delayed, not what is held nor the dead letters", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", numbered("m", 8));
    await publish(peer, "other", ["o1"]);
    const { receiver } = await work(peer, ["celery"]);
    const held = await take(receiver, 3);
    await receiver.exchange([
      { delivery: held[0], outcome: "delay", due: broker.now() + 3_600_000 },
      { delivery: held[1], outcome: "dead", reason: "bad" },
    ], 0);
    assert.equal(await peer.transport.purge("celery"), 5 + delayedCount(peer, 1));
    assert.deepEqual(await lengthOf(peer, "celery"), {
      queue: "celery",
      ready: 0,
      delayed: 0,
      unacked: 1,
      dead: 1,
    });
    assert.equal((await lengthOf(peer, "other")).ready, 1);
    assert.equal(await peer.transport.purge("celery"), 0);
    await receiver.exchange([{ delivery: held[2], outcome: "return" }], 0);
    assert.deepEqual(idsOf(await receiver.exchange([], 5)), ["m3"]);
  });

  test("deletes a queue with what is in it", async (broker) => {
    const peer = await broker.connect();
    await peer.transport.bind("reply.celery.pidbox", "oid", "oid.reply");
    await peer.transport.publish([taskMessage("oid", "r1", { exchange: "reply.celery.pidbox" })]);
    await peer.transport.deleteQueue("oid.reply");
    assert.equal((await lengthOf(peer, "oid.reply")).ready, 0);
    await publishNowhere(peer, [taskMessage("oid", "r2", { exchange: "reply.celery.pidbox" })], 0);
    assert.equal((await lengthOf(peer, "oid.reply")).ready, 0);
  });

  test("a direct exchange sends to every queue bound with that routing key", async (broker) => {
    const peer = await broker.connect();
    const other = await broker.connect();
    await peer.transport.bind("replies", "key", "one");
    await peer.transport.bind("replies", "key", "two");
    await peer.transport.bind("replies", "key", "two");
    await peer.transport.bind("replies", "otherkey", "three");
    await other.transport.publish([taskMessage("key", "r1", { exchange: "replies" })]);
    const { receiver } = await work(peer, ["one", "two", "three"]);
    const deliveries = await take(receiver, 5);
    assert.deepEqual(deliveries.map((delivery) => `${delivery.queue} ${idOf(delivery)}`).sort(), [
      "one r1",
      "two r1",
    ]);
  });

  test("an exchange that nothing is bound to drops the message", async (broker) => {
    const peer = await broker.connect();
    await publishNowhere(peer, [
      taskMessage("celery", "m1"),
      taskMessage("key", "r1", { exchange: "nowhere" }),
      taskMessage("celery", "m2"),
    ], 1);
    assert.equal((await lengthOf(peer, "key")).ready, 0);
    assert.equal((await lengthOf(peer, "celery")).ready, 2);
  });

  test("what follows may go through an exchange too", async (broker) => {
    const peer = await broker.connect();
    await peer.transport.bind("replies", "key", "reply");
    await publish(peer, "celery", ["m1"]);
    const { receiver } = await work(peer, ["celery"]);
    const [delivery] = await receiver.exchange([], 1);
    const follow = [taskMessage("key", "f1", { exchange: "replies" })];
    await receiver.exchange([{ delivery, outcome: "ack", follow }], 0);
    assert.equal((await lengthOf(peer, "reply")).ready, 1);
  });
}
