/** What becomes of deliveries: every outcome, results and what follows, done once. */
import assert from "node:assert/strict";
import type { Delivery, Settlement } from "../../../runtime/transport/transport.ts";
import { eventually } from "../patience.ts";
import {
  acks,
  assertSame,
  delayedCount,
  headersOf,
  idOf,
  idsOf,
  lengthOf,
  numbered,
  publish,
  success,
  take,
  taskMessage,
  type Test,
  type TransportHarness,
  utf8,
  waysOf,
  work,
} from "./setting.ts";

/** A part of the suite that every transport passes. */
export function settle(test: Test, harness: TransportHarness): void {
  test("what is acknowledged is gone", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", numbered("m", 10));
    const { receiver, heard } = await work(peer, ["celery"]);
    const held = await take(receiver, 10);
    assert.equal((await lengthOf(peer, "celery")).unacked, 10);
    assert.deepEqual(await receiver.exchange(acks(held), 10), []);
    assert.deepEqual(await lengthOf(peer, "celery"), {
      queue: "celery",
      ready: 0,
      delayed: 0,
      unacked: 0,
      dead: 0,
    });
    assert.deepEqual(heard.losses, []);
  });

  test("acknowledges any part of what is held, in any order", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", numbered("m", 9));
    const { receiver, heard } = await work(peer, ["celery"]);
    const held = await take(receiver, 9);
    await receiver.exchange(acks([held[7], held[1], held[4]]), 0);
    assert.equal((await lengthOf(peer, "celery")).unacked, 6);
    await receiver.exchange(acks([held[8], held[0], held[2], held[3], held[6], held[5]]), 0);
    assert.equal((await lengthOf(peer, "celery")).unacked, 0);
    assert.deepEqual(heard.losses, []);
  });

  test("what is returned is next out, in its order, unmarked and uncounted", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", numbered("m", 6));
    const { receiver } = await work(peer, ["celery"]);
    const held = await take(receiver, 4);
    const returned = [held[1], held[2], held[3]];
    await receiver.exchange(returned.map((delivery) => ({ delivery, outcome: "return" })), 0);
    const again = await take(receiver, 5);
    assert.deepEqual(idsOf(again), ["m2", "m3", "m4", "m5", "m6"]);
    for (let index = 0; index < 3; index++) assertSame(peer, again[index], returned[index]);
  });

  test("what is returned goes back to its own priority", async (broker) => {
    const peer = await broker.connect();
    const late = 9 - peer.transport.urgentPriority;
    await publish(peer, "celery", ["late"], { priority: late });
    const { receiver } = await work(peer, ["celery"]);
    const [delivery] = await receiver.exchange([], 1);
    await receiver.exchange([{ delivery, outcome: "return" }], 0);
    await publish(peer, "celery", ["urgent"], { priority: peer.transport.urgentPriority });
    assert.deepEqual(idsOf(await take(receiver, 2)), ["urgent", "late"]);
  });

  test("what is restored is next out, marked redelivered and counted", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", ["m1"]);
    if (!waysOf(peer).restoresToTheEnd) await publish(peer, "celery", ["m2"]);
    const { receiver, heard } = await work(peer, ["celery"]);
    for (let count = 1; count <= 3; count++) {
      const [delivery] = await receiver.exchange([], 1);
      assert.equal(idOf(delivery), "m1");
      assert.deepEqual(await receiver.exchange([{ delivery, outcome: "restore" }], 0), []);
      const [again] = await receiver.exchange([], 1);
      assert.equal(idOf(again), "m1");
      assert.equal(headersOf(again).redelivered, true);
      assert.equal(headersOf(again).celeriac_deliveries, count);
      assert.equal(JSON.parse(again.text).body, JSON.parse(delivery.text).body);
      await receiver.exchange([{ delivery: again, outcome: "return" }], 0);
    }
    assert.deepEqual(heard.deaths, []);
  });

  test("what is restored more often than maxDeliveries becomes a dead letter", async (broker) => {
    const peer = await broker.connect({ maxDeliveries: 2 });
    const { restoresToTheEnd } = waysOf(peer);
    await publish(peer, "celery", restoresToTheEnd ? ["poison"] : ["poison", "fine"]);
    const { receiver, heard } = await work(peer, ["celery"]);
    let last: Delivery | undefined;
    for (let turn = 0; turn < 3; turn++) {
      const [delivery] = await receiver.exchange([], 1);
      assert.equal(idOf(delivery), "poison");
      last = delivery;
      await receiver.exchange([{ delivery, outcome: "restore" }], 0);
    }
    assert.deepEqual(idsOf(await take(receiver, 2)), restoresToTheEnd ? [] : ["fine"]);
    assert.equal(heard.deaths.length, 1);
    assert.equal(heard.deaths[0].queue, "celery");
    const letters = await peer.transport.deadLetters("celery", 10);
    assert.equal(letters.length, 1);
    assert.deepEqual(letters[0].body, utf8.encode(last?.text));
  });

  test("what is dead is kept byte for byte with its reason", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", ["m1", "m2"]);
    const { receiver, heard } = await work(peer, ["celery"]);
    const held = await take(receiver, 2);
    await receiver.exchange([{ delivery: held[0], outcome: "dead", reason: "no task named math.add" }], 0);
    const letters = await peer.transport.deadLetters("celery", 10);
    assert.equal(letters.length, 1);
    assert.equal(letters[0].queue, "celery");
    assert.equal(letters[0].reason, "no task named math.add");
    assert.ok(Math.abs(letters[0].at - broker.now()) < 60_000);
    assert.deepEqual(letters[0].body, utf8.encode(held[0].text));
    assert.deepEqual(await lengthOf(peer, "celery"), {
      queue: "celery",
      ready: 0,
      delayed: 0,
      unacked: 1,
      dead: 1,
    });
    assert.deepEqual(heard.deaths, []);
  });

  test("shows the newest dead letters first, no more than asked for", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", numbered("m", 5));
    const { receiver } = await work(peer, ["celery"]);
    for (const delivery of await take(receiver, 5)) {
      await receiver.exchange([{ delivery, outcome: "dead", reason: idOf(delivery) }], 0);
    }
    const letters = await peer.transport.deadLetters("celery", 2);
    assert.deepEqual(letters.map((letter) => letter.reason), ["m5", "m4"]);
    assert.equal((await lengthOf(peer, "celery")).dead, 5);
  });

  test("every outcome, results and what follows go in one exchange with the next fetch", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", numbered("m", 6));
    const { receiver, heard } = await work(peer, ["celery", "next"]);
    const held = await take(receiver, 5);
    const fetched = await receiver.exchange([
      { delivery: held[0], outcome: "ack", result: success("m1"), follow: [taskMessage("next", "f1")] },
      { delivery: held[1], outcome: "dead", reason: "expired", result: success("m2", "dead") },
      { delivery: held[2], outcome: "delay", due: broker.now() + 3_600_000 },
      { delivery: held[3], outcome: "return" },
      { delivery: held[4], outcome: "restore" },
    ], 10);
    fetched.push(...await take(receiver, 4 - fetched.length));
    assert.deepEqual(idsOf(fetched).sort(), ["f1", "m4", "m5", "m6"]);
    assert.deepEqual(await lengthOf(peer, "celery"), {
      queue: "celery",
      ready: 0,
      delayed: delayedCount(peer, 1),
      unacked: 3,
      dead: 1,
    });
    assert.equal(receiver.storesResults, harness.storesResults);
    const stored = await peer.results.fetch(["m1", "m2", "m3"]);
    assert.deepEqual(
      stored,
      harness.storesResults ? [success("m1").text, success("m2", "dead").text, null] : [
        null,
        null,
        null,
      ],
    );
    assert.deepEqual(heard.losses, []);
  });

  if (harness.storesResults) {
    test("a result stored with an acknowledgement reaches a watcher in another process", async (broker) => {
      const peer = await broker.connect();
      const caller = await broker.connect();
      const heardOf = new Map<string, string>();
      const watch = caller.results.watch((id, text) => heardOf.set(id, text));
      await watch.add(["m1"]);
      await publish(peer, "celery", ["m1"]);
      const { receiver } = await work(peer, ["celery"]);
      const [delivery] = await receiver.exchange([], 1);
      await receiver.exchange([{ delivery, outcome: "ack", result: success("m1") }], 0);
      await eventually(() => assert.equal(heardOf.get("m1"), success("m1").text));
      await watch[Symbol.asyncDispose]();
    });
  }

  test("what follows is published in its order", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", ["m1"]);
    const { receiver } = await work(peer, ["celery"]);
    const [delivery] = await receiver.exchange([], 1);
    const follow = numbered("f", 5).map((id) => taskMessage("celery", id));
    const fetched = await receiver.exchange([{ delivery, outcome: "ack", follow }], 5);
    fetched.push(...await take(receiver, 5 - fetched.length));
    assert.deepEqual(idsOf(fetched), numbered("f", 5));
  });

  test("settling the same again does nothing", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", ["m1"]);
    const { receiver } = await work(peer, ["celery"]);
    const [delivery] = await receiver.exchange([], 1);
    const settlement: Settlement = { delivery, outcome: "ack", follow: [taskMessage("next", "f1")] };
    await receiver.exchange([settlement], 0);
    await receiver.exchange([settlement], 0);
    assert.equal((await lengthOf(peer, "next")).ready, 1);
    assert.equal((await lengthOf(peer, "celery")).unacked, 0);
  });

  test("settling one delivery twice in one batch does it once", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", ["m1"]);
    const { receiver } = await work(peer, ["celery"]);
    const [delivery] = await receiver.exchange([], 1);
    const settlement: Settlement = { delivery, outcome: "return" };
    await receiver.exchange([settlement, settlement], 0);
    assert.deepEqual(await lengthOf(peer, "celery"), {
      queue: "celery",
      ready: 1,
      delayed: 0,
      unacked: 0,
      dead: 0,
    });
  });

  test("an old tag never settles a later delivery of the same message", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", ["m1"]);
    const { receiver } = await work(peer, ["celery"]);
    const [old] = await receiver.exchange([], 1);
    await receiver.exchange([{ delivery: old, outcome: "return" }], 0);
    const [current] = await receiver.exchange([], 1);
    await receiver.exchange([{ delivery: old, outcome: "ack" }], 0);
    assert.equal((await lengthOf(peer, "celery")).unacked, 1);
    await receiver.exchange([{ delivery: current, outcome: "return" }], 0);
    assert.deepEqual(idsOf(await receiver.exchange([], 1)), ["m1"]);
  });
}
