/** The client's main ways, on whatever runs this: `client.mjs BROKER`. Its tasks are those of shop.ts. */
import assert from "node:assert/strict";
import process from "node:process";
import { App, consume, Consumer, produce, Producer, TaskError, uid } from "celeriac";

const broker = process.argv[2];
const app = new App({ broker });
const shop = app.module("shop");

const sums = await Promise.all([1, 2, 3].map((n) => shop.add(n, 10)));
assert.deepEqual(sums, [11, 12, 13]);
assert.equal(await app.sendTask("shop.add", [2n ** 64n, 2n ** 64n]), 2n ** 65n);

const date = new Date("2026-02-03T04:05:06.789Z");
const bytes = new Uint8Array([0, 127, 255]);
const sent = { date, bytes, deep: [null, true, NaN, "ä"] };
assert.deepEqual(await shop.echo(sent), sent);

const failed = shop.fail.applyAsync({ args: ["sold out"] });
await assert.rejects(failed.get({ timeout: 30 }), (error) => {
  assert.ok(error instanceof TaskError);
  assert.deepEqual([error.type, error.message], ["RangeError", "sold out"]);
  assert.match(error.traceback, /shop\.ts:13/);
  return true;
});
assert.equal(await failed.status, "FAILURE");
await assert.rejects(app.sendTask("nobody.there", [], {}, { queue: "idle" }).get({ timeout: 0.1 }), {
  name: "TimeoutError",
});

await produce({ order: 2n ** 60n }, { queue: "orders", url: broker });
assert.deepEqual(await consume({ queue: "orders", url: broker, timeout: 5 }), { order: 2n ** 60n });

const id = uid();
const consumer = new Consumer(id, { url: broker });
const first = consumer.get();
const producer = new Producer(id, { url: broker });
await producer.sendMessages([sent, 2, 3]);
await producer.end();
assert.deepEqual(await first, sent);
const messages = [];
for await (const message of consumer) messages.push(message);
assert.deepEqual(messages, [2, 3]);
await Promise.all([producer.close(), consumer.close()]);

await app.disconnect();
// Nothing may keep the process alive now.
process.on("exit", (code) => console.log(`ended with ${code}`));
