/** Items that are no messages: set aside byte for byte, and the rest goes on. */
import assert from "node:assert/strict";
import type { Delivery } from "../../../runtime/transport/transport.ts";
import { eventually } from "../patience.ts";
import { idsOf, lengthOf, numbered, publish, take, type Test, utf8, work } from "./setting.ts";

/** A part of the suite that every transport passes. */
export function badItems(test: Test): void {
  const items = ["", "not json", "[]", "42", "null", "\u00e9", " {}"].map((text) => utf8.encode(text));
  items.push(new Uint8Array([0xff, 0xfe, 0x00, 0x80]), new Uint8Array([0, 0, 0]));

  test("what is no envelope becomes a dead letter, byte for byte, and the rest goes on", async (broker) => {
    const peer = await broker.connect();
    await publish(peer, "celery", ["m1"]);
    for (const item of items) await broker.put("celery", item);
    await publish(peer, "celery", ["m2"]);
    const { receiver, heard } = await work(peer, ["celery"]);
    const deliveries: Delivery[] = [];
    await eventually(async () => {
      deliveries.push(...await receiver.exchange([], 20));
      assert.equal(deliveries.length, 2);
    });
    assert.deepEqual(idsOf(deliveries), ["m1", "m2"]);
    assert.equal(heard.deaths.length, items.length);
    for (const { queue, reason } of heard.deaths) {
      assert.equal(queue, "celery");
      assert.notEqual(reason, "");
    }
    const letters = await peer.transport.deadLetters("celery", 100);
    const bytes = (parts: readonly Uint8Array[]) => parts.map((part) => [...part].join()).sort();
    assert.deepEqual(bytes(letters.map((letter) => letter.body)), bytes(items));
    assert.deepEqual(await lengthOf(peer, "celery"), {
      queue: "celery",
      ready: 0,
      delayed: 0,
      unacked: 2,
      dead: items.length,
    });
  });

  test("bytes that are not UTF-8 are never changed on their way", async (broker) => {
    const peer = await broker.connect();
    const item = new Uint8Array([
      ...utf8.encode('{"body": "'),
      0xff,
      0xc3,
      0xed,
      0xa0,
      0x80,
      ...utf8.encode('"}'),
    ]);
    const { receiver } = await work(peer, ["celery"]);
    for (const outcome of ["return", "restore", "delay"] as const) {
      await broker.put("celery", item);
      const [delivery] = await receiver.exchange([], 1);
      // A transport may refuse such an item at once; if it hands it out, then it keeps what it is.
      if (delivery !== undefined) {
        const due = outcome === "delay" ? broker.now() : undefined;
        await receiver.exchange([{ delivery, outcome, due }], 0);
      }
    }
    await eventually(async () => {
      await broker.pass(50);
      const again = await receiver.exchange([], 10);
      await receiver.exchange(again.map((delivery) => ({ delivery, outcome: "dead", reason: "bad" })), 0);
      assert.equal((await lengthOf(peer, "celery")).dead, 3);
    });
    // A restore splices its marks in; every other byte stays.
    const marks = utf8.encode(', "celeriac_deliveries": 1, "redelivered": true');
    const marked = [...item.subarray(0, -1), ...marks, ...item.subarray(-1)];
    for (const { body } of await peer.transport.deadLetters("celery", 10)) {
      assert.deepEqual([...body], body.length > item.length ? marked : [...item]);
    }
  });

  test("a message that is too large becomes a dead letter and the rest goes on", async (broker) => {
    const peer = await broker.connect({ maxMessageBytes: 4_000 });
    await publish(peer, "celery", ["m1"]);
    await publish(peer, "celery", ["huge"], { body: `["${"x".repeat(9_000)}"]` });
    await publish(peer, "celery", ["m2"]);
    const { receiver, heard } = await work(peer, ["celery"]);
    const deliveries: Delivery[] = [];
    await eventually(async () => {
      deliveries.push(...await receiver.exchange([], 20));
      assert.equal(deliveries.length, 2);
    });
    assert.deepEqual(idsOf(deliveries), ["m1", "m2"]);
    assert.equal(heard.deaths.length, 1);
    assert.notEqual(heard.deaths[0].reason, "");
    const [letter] = await peer.transport.deadLetters("celery", 10);
    assert.equal(JSON.parse(new TextDecoder().decode(letter.body)).headers.id, "huge");
  });

  test("many large messages are handed out without loss, whatever a batch holds at most", async (broker) => {
    const peer = await broker.connect();
    const body = `["${"x".repeat(700_000)}"]`;
    const ids = numbered("m", 24);
    for (const id of ids) await publish(peer, "celery", [id], { body });
    const { receiver } = await work(peer, ["celery"]);
    const first = await receiver.exchange([], 24);
    assert.ok(first.length >= 1);
    assert.deepEqual(idsOf([...first, ...await take(receiver, 24 - first.length)]), ids);
  });
}
