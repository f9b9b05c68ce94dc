/** Dead letters go back to their queues, or for good. */
import assert from "node:assert/strict";
import type { DeadLetter, Delivery } from "../../../runtime/transport/transport.ts";
import { eventually } from "../patience.ts";
import {
  headersOf,
  idOf,
  idsOf,
  lengthOf,
  numbered,
  type Peer,
  publish,
  take,
  type Test,
  utf8,
  waysOf,
  type Work,
  work,
} from "./setting.ts";

/** Takes so many, some of which may still be on their way. */
async function received({ receiver }: Pick<Work, "receiver">, count: number): Promise<Delivery[]> {
  const deliveries: Delivery[] = [];
  await eventually(async () => {
    deliveries.push(...await take(receiver, count - deliveries.length));
    assert.equal(deliveries.length, count);
  });
  return deliveries;
}

/** Publishes tasks that become dead letters one after another; the letters, the newest first. */
async function deadTasks(peer: Peer, ids: readonly string[], works: Work): Promise<DeadLetter[]> {
  await publish(peer, "celery", ids);
  for (const delivery of await received(works, ids.length)) {
    await works.receiver.exchange([{ delivery, outcome: "dead", reason: idOf(delivery) }], 0);
  }
  return await peer.transport.deadLetters("celery", 100);
}

export function deadLetters(test: Test): void {
  test("those that are chosen go back to their queue, the others stay", async (broker) => {
    const peer = await broker.connect();
    const works = await work(peer, ["celery"]);
    const letters = await deadTasks(peer, numbered("m", 5), works);
    assert.equal(new Set(letters.map(({ tag }) => tag)).size, 5);
    const chosen = letters.filter(({ reason }) => reason === "m2" || reason === "m4");
    assert.equal(await peer.transport.requeueDead(chosen), 2);
    const left = await peer.transport.deadLetters("celery", 100);
    assert.deepEqual(left.map(({ reason }) => reason), ["m5", "m3", "m1"]);
    const back = await received(works, 2);
    assert.deepEqual(idsOf(back).sort(), ["m2", "m4"]);
    assert.equal(await peer.transport.requeueDead(chosen), 0);
    assert.deepEqual(await take(works.receiver, 1), []);
    assert.equal((await lengthOf(peer, "celery")).dead, 3);
  });

  test("those that are dropped are gone", async (broker) => {
    const peer = await broker.connect();
    const works = await work(peer, ["celery"]);
    const letters = await deadTasks(peer, numbered("m", 3), works);
    assert.equal(await peer.transport.dropDead(letters.slice(1)), 2);
    assert.equal(await peer.transport.dropDead(letters), 1);
    assert.deepEqual(await peer.transport.deadLetters("celery", 100), []);
    assert.deepEqual(await take(works.receiver, 1), []);
  });

  test("a message that goes back is counted anew", async (broker) => {
    const peer = await broker.connect({ maxDeliveries: 2 });
    const works = await work(peer, ["celery"]);
    const { receiver, heard } = works;
    await publish(peer, "celery", ["poison"]);
    for (let turn = 0; turn < 3; turn++) {
      const [delivery] = await received(works, 1);
      await receiver.exchange([{ delivery, outcome: "restore" }], 0);
    }
    assert.equal(heard.deaths.length, 1);
    assert.equal(await peer.transport.requeueDead(await peer.transport.deadLetters("celery", 1)), 1);
    const [again] = await received(works, 1);
    assert.equal(Number(headersOf(again).celeriac_deliveries ?? 0), 0);
    if (!waysOf(peer).redeliveredIsHint) assert.ok(!headersOf(again).redelivered);
    await receiver.exchange([{ delivery: again, outcome: "restore" }], 0);
    assert.equal(heard.deaths.length, 1);
    const [last] = await received(works, 1);
    assert.equal(headersOf(last).celeriac_deliveries, 1);
  });

  test("a message that goes back keeps its priority", async (broker) => {
    const peer = await broker.connect();
    const { urgentPriority } = peer.transport;
    const works = await work(peer, ["celery"]);
    await publish(peer, "celery", ["urgent"], { priority: urgentPriority });
    const [delivery] = await received(works, 1);
    await works.receiver.exchange([{ delivery, outcome: "dead", reason: "once" }], 0);
    await works.receiver[Symbol.asyncDispose]();
    await publish(peer, "celery", ["usual"], { priority: urgentPriority === 9 ? 0 : 9 });
    await peer.transport.requeueDead(await peer.transport.deadLetters("celery", 1));
    assert.deepEqual(idsOf(await received(await work(peer, ["celery"]), 2)), ["urgent", "usual"]);
  });

  test("what is no message at all goes back as it was", async (broker) => {
    const peer = await broker.connect();
    const item = new Uint8Array([0xff, 0xfe, 0x00, 0x41, ...utf8.encode("not a message")]);
    await broker.put("celery", item);
    const { receiver, heard } = await work(peer, ["celery"]);
    const dies = (times: number) =>
      eventually(async () => {
        assert.deepEqual(await take(receiver, 1), []);
        assert.equal(heard.deaths.length, times);
      });
    await dies(1);
    assert.equal(await peer.transport.requeueDead(await peer.transport.deadLetters("celery", 1)), 1);
    await dies(2);
    const [letter] = await peer.transport.deadLetters("celery", 2);
    assert.deepEqual(letter.body, item);
  });
}
