/**
 * A worker that kills itself, as `kill -9` does, at one step of the settling of the last part of a chord, or of what it has
 * sent: `chord_worker.ts STEP QUEUE SETTINGS`. The last part is the one with the index 1.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import { resolveSettings } from "../../runtime/config/resolve.ts";
import type { ChordPart, ChordStore } from "../../runtime/results/chord_store.ts";
import { RedisChords } from "../../runtime/results/redis/chords.ts";
import { SqliteChords } from "../../runtime/results/sqlite/chords.ts";
import { AmqpReceiver } from "../../runtime/transport/amqp/receiver.ts";
import { RedisReceiver } from "../../runtime/transport/redis/receiver.ts";
import { SqliteReceiver } from "../../runtime/transport/sqlite/receiver.ts";
import type { Delivery, Receiver, Settlement } from "../../runtime/transport/transport.ts";
import { Exchange } from "../../runtime/worker/exchange.ts";
import { Worker } from "../../runtime/worker/worker.ts";

const [step, queue, settings] = process.argv.slice(2);
/** The last part has been counted, or is about to be, or others take its place or stand beside it. */
let isLast = false;

function reached(name: string): void {
  if (isLast && name === step) process.kill(process.pid, "SIGKILL");
}

/** Puts `before` and `after` a method into the place of it. */
function around<T extends object, K extends keyof T>(
  prototype: T,
  method: K,
  before: (...args: never[]) => void,
  after: (value: unknown) => void = () => {},
): void {
  const original = prototype[method] as (...args: unknown[]) => Promise<unknown>;
  prototype[method] = async function (this: T, ...args: never[]) {
    before(...args);
    const value = await original.apply(this, args);
    after(value);
    return value;
  } as T[K];
}

for (const kind of [RedisChords, SqliteChords]) {
  const store: ChordStore = kind.prototype;
  around(store, "count", (parts: readonly ChordPart[]) => {
    isLast ||= parts.some(({ index }) => index === 1);
    reached("before count");
  }, () => reached("after count"));
  around(store, "extend", () => {
    isLast = true;
    reached("before extend");
  }, () => reached("after extend"));
  around(store, "parts", () => {}, () => reached("after parts"));
  around(store, "end", () => reached("before end"), () => reached("after end"));
}
around(Exchange.prototype, "publish", () => reached("before publish"), () => reached("after publish"));
for (const kind of [RedisReceiver, SqliteReceiver, AmqpReceiver]) {
  const receiver: Receiver = kind.prototype;
  around(receiver, "exchange", (settlements: readonly Settlement[]) => {
    if (settlements.length > 0) reached("before settle");
  }, (deliveries) => {
    if (step === "after receive") isLast = (deliveries as Delivery[]).length > 0;
    reached("after receive");
  });
}
/** Settlements are counted by then, so that the step after them is reached when they are done. */
const { settle } = Exchange.prototype;
Exchange.prototype.settle = function (settlement) {
  isLast ||= settlement.follow?.some(({ headers }) => headers.group_index === 1) ?? false;
  settle.call(this, settlement);
  if (isLast && step === "after settle") void this.idle().then(() => reached("after settle"));
};

const worker = new Worker({
  settings: resolveSettings({ from: "the test", settings: JSON.parse(settings) }),
  modules: [fileURLToPath(new URL("./chord_tasks.ts", import.meta.url))],
  queues: [queue],
  concurrency: 1,
  slots: 1,
  hostname: `celery@${queue}`,
});
await worker.start();
