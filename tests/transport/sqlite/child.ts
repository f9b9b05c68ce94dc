/**
 * Another process on a database file, as `sqlite_test.ts` starts it: `child.ts WHAT PATH [COUNT]`. It says a line at
 * each thing that happened, and ends when its input ends.
 */
import { DatabaseSync } from "node:sqlite";
import process from "node:process";
import { openResultStore } from "../../../runtime/results/open.ts";
import { openTransport } from "../../../runtime/transport/open.ts";
import type { Delivery, Receiver, Settlement, Transport } from "../../../runtime/transport/transport.ts";
import { Heard, taskMessage } from "../../conformance/transports.ts";

const [what, path, countText = "0"] = process.argv.slice(2);
const count = Number(countText);
const url = `sqlite:${path}`;
const stop = new AbortController();
const say = (line: string) => process.stdout.write(`${line}\n`);

const roles: Record<string, () => Promise<void>> = {
  /** Holds the write lock until its input ends. */
  async lock() {
    const db = new DatabaseSync(path);
    db.exec("pragma busy_timeout = 5000; begin immediate");
    say("locked");
    await ended;
    db.exec("commit");
    db.close();
  },

  /** Publishes `count` messages in small batches. */
  async publish() {
    const transport = await opened();
    for (let at = 0; at < count; at += 10) {
      const batch = Array.from(
        { length: 10 },
        (_, index) => taskMessage("celery", `${process.pid}-${at + index}`),
      );
      await transport.publish(batch);
    }
    say("published");
    await transport[Symbol.asyncDispose]();
  },

  /** Broadcasts `count` messages. */
  async announce() {
    const transport = await opened();
    for (let at = 0; at < count; at++) await transport.broadcast("news", taskMessage("", `m${at}`));
    await transport[Symbol.asyncDispose]();
  },

  /** Publishes much and leaves everything open. */
  async leave() {
    const transport = await opened();
    const huge = `["${"x".repeat(50_000)}"]`;
    for (let at = 0; at < count; at++) {
      await transport.publish([taskMessage("celery", `m${at}`, { body: huge })]);
    }
    say("published");
    process.stdin.pause();
  },

  /** Takes `count` messages and holds them. */
  async hold() {
    const transport = await opened();
    const receiver = await received(transport);
    const held = await receiver.exchange([], count);
    say(`holding ${held.length}`);
    await ended;
  },

  /** Runs what comes: stores for each task how its id was, acknowledges, says how many. */
  async work() {
    const transport = await opened();
    const receiver = await received(transport);
    let settlements: Settlement[] = [];
    say("working");
    while (!stop.signal.aborted) {
      const held = await receiver.exchange(settlements, 20);
      if (settlements.length > 0) say(`done ${settlements.length}`);
      settlements = held.map(done);
      if (held.length === 0) await receiver.arrival(stop.signal).catch(() => {});
    }
    await receiver.exchange(settlements, 0);
    await receiver[Symbol.asyncDispose]();
    await transport[Symbol.asyncDispose]();
  },
};

const ended = new Promise<void>((resolve) => process.stdin.on("end", resolve));
process.stdin.resume();
ended.then(() => stop.abort());

async function opened(): Promise<Transport> {
  const transport = await openTransport(url, { lease: 1.5 });
  await transport.connect();
  return transport;
}

async function received(transport: Transport): Promise<Receiver> {
  const results = await openResultStore(url);
  return await transport.receive({
    queues: ["celery"],
    worker: `child${process.pid}`,
    results,
    events: new Heard(),
  });
}

function done(delivery: Delivery): Settlement {
  const { id } = JSON.parse(delivery.text).headers;
  const text = JSON.stringify({
    status: "SUCCESS",
    result: performance.timeOrigin + performance.now(),
    task_id: id,
  });
  return { delivery, outcome: "ack", result: { id, state: "SUCCESS", text, ttl: 3600 } };
}

try {
  await roles[what]();
} catch (error) {
  say(`failed ${(error as Error).name}: ${(error as Error).message}`);
  process.exitCode = 1;
}
