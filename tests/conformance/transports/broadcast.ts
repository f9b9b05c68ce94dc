/** What everybody hears who listens. */
import assert from "node:assert/strict";
import { eventually } from "../patience.ts";
import { taskMessage, type Test } from "./setting.ts";

/** A part of the suite that every transport passes. */
export function broadcast(test: Test): void {
  test("reaches everybody who listens, in order, and nobody who does not", async (broker) => {
    const sender = await broker.connect();
    const listener = await broker.connect();
    await sender.transport.broadcast("celery.pidbox", taskMessage("", "before"));
    const heard: string[][] = [[], [], []];
    const listening = [
      await sender.transport.listen("celery.pidbox", (text) => heard[0].push(JSON.parse(text).headers.id)),
      await listener.transport.listen(
        "celery.pidbox",
        (text) => heard[1].push(JSON.parse(text).headers.id),
      ),
      await listener.transport.listen("other", (text) => heard[2].push(JSON.parse(text).headers.id)),
    ];
    for (const id of ["b1", "b2", "b3"]) {
      await sender.transport.broadcast("celery.pidbox", taskMessage("", id));
    }
    await eventually(() => assert.deepEqual(heard.slice(0, 2), [["b1", "b2", "b3"], ["b1", "b2", "b3"]]));
    await listening[1][Symbol.asyncDispose]();
    await sender.transport.broadcast("celery.pidbox", taskMessage("", "b4"));
    await sender.transport.broadcast("other", taskMessage("", "o1"));
    await eventually(() => assert.deepEqual(heard, [["b1", "b2", "b3", "b4"], ["b1", "b2", "b3"], ["o1"]]));
    for (const open of listening) await open[Symbol.asyncDispose]();
  });

  test("two listeners of one process both hear, until each stops", async (broker) => {
    const peer = await broker.connect();
    const heard: string[] = [];
    const first = await peer.transport.listen("x", () => heard.push("first"));
    const second = await peer.transport.listen("x", () => heard.push("second"));
    await peer.transport.broadcast("x", taskMessage("", "b1"));
    await eventually(() => assert.deepEqual([...heard].sort(), ["first", "second"]));
    await first[Symbol.asyncDispose]();
    await peer.transport.broadcast("x", taskMessage("", "b2"));
    await eventually(() => assert.deepEqual([...heard].sort(), ["first", "second", "second"]));
    await second[Symbol.asyncDispose]();
  });
}
