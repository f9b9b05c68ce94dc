/**
 * The one suite that all channels pass: messages in order, exactly as sent, bounded, with an end, and what becomes of them
 * when an end of theirs goes away. What differs between kinds is the harness's to say.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ChannelFullError, ChannelTakenError, lineName } from "../../runtime/channel/channel.ts";
import { Consumer, type ConsumerOptions } from "../../runtime/channel/consumer.ts";
import { openChannels } from "../../runtime/channel/open.ts";
import { Producer, type ProducerOptions } from "../../runtime/channel/producer.ts";
import type { Clock } from "../../runtime/clock.ts";
import { eventually, within } from "./patience.ts";

/** Opens channels of one kind for the suite. */
export interface ChannelHarness {
  /** A reader may have read ahead what a sender can drop no more. Default false. */
  readonly readsAhead?: boolean;
  /** A place with no messages in it. */
  open(): Promise<TestChannels>;
}

/** One place, as several processes reach it. */
export interface TestChannels {
  readonly url: string;
  /** What tells one more process from the others: its clock. */
  process(): Clock;
  /** Lets time pass for all of them. */
  pass(ms: number): Promise<void>;
  close(): Promise<void>;
}

/** Long enough for any machine, and far below {@linkcode NEVER}. */
const SOON = 10_000;
/** Seconds between two looks that no test waits for: what comes in time was pushed. */
const NEVER = 3_600;

/** Runs what all channels must do, against places that `harness` opens. */
export function channelSuite(name: string, harness: ChannelHarness): void {
  /** Ends of the lines of one place, closed with it. */
  class Ends {
    readonly #place: TestChannels;
    readonly #open: (Producer | Consumer)[] = [];
    constructor(place: TestChannels) {
      this.#place = place;
    }
    producer(id: string, options: Partial<ProducerOptions> = {}): Producer {
      const clock = this.#place.process();
      const producer = new Producer(id, { url: this.#place.url, clock, pollInterval: NEVER, ...options });
      this.#open.push(producer);
      return producer;
    }
    consumer(id: string, options: Partial<ConsumerOptions> = {}): Consumer {
      const clock = this.#place.process();
      const consumer = new Consumer(id, { url: this.#place.url, clock, pollInterval: NEVER, ...options });
      this.#open.push(consumer);
      return consumer;
    }
    pass(ms: number): Promise<void> {
      return this.#place.pass(ms);
    }
    get place(): TestChannels {
      return this.#place;
    }
    async close(): Promise<void> {
      // What the test has left waiting waits for no more.
      await Promise.all(this.#open.map((end) => end instanceof Consumer ? end.close() : undefined));
      await Promise.all(this.#open.map((end) => end.close()));
    }
  }

  const test = (title: string, run: (ends: Ends) => Promise<void>) =>
    it(title, async () => {
      const place = await harness.open();
      const ends = new Ends(place);
      try {
        await run(ends);
      } finally {
        await within(SOON, ends.close(), "the end of all ends");
        await place.close();
      }
    });

  describe(`channels of ${name}: messages`, () => {
    test("arrive in order and as they were sent", async (ends) => {
      const messages = [
        ...["", "Grüße ✓ 🥕", '\u0000 \u2028 " \\ \n', "x".repeat(300_000), 0, -1.5, true, false, null],
        ...[[], {}, { a: [1, { b: null }] }, 12345678901234567890n, NaN, new Date(1e12), "null", "[1"],
        new Uint8Array([0, 128, 255]),
      ];
      const producer = ends.producer("t");
      for (const message of messages) void producer.sendMessage(message);
      await producer.end();
      const read = [];
      for await (const message of ends.consumer("t")) read.push(message);
      assert.deepEqual(read, messages);
    });

    test("are pushed to who waits for them", async (ends) => {
      const consumer = ends.consumer("t");
      const first = consumer.get();
      assert.equal(await consumer.get({ timeout: 0 }), undefined);
      const producer = ends.producer("t");
      await producer.sendMessage("first");
      assert.equal(await within(SOON, first, "the first message"), "first");
      const second = consumer.get();
      await producer.sendMessage("second");
      assert.equal(await within(SOON, second, "the second message"), "second");
    });

    test("are given at once when they are there, and none when there is none", async (ends) => {
      const consumer = ends.consumer("t");
      assert.equal(await consumer.get({ timeout: 0 }), undefined);
      assert.deepEqual(await consumer.getMany(10, { timeout: 0 }), []);
      await ends.producer("t").sendMessages([1, 2]);
      assert.equal(await consumer.get({ timeout: 0 }), 1);
      assert.equal(await consumer.get({ timeout: 0 }), 2);
      assert.equal(await consumer.get({ timeout: 0 }), undefined);
      assert.equal(consumer.ended, false);
    });

    test("that do not come in time are waited for no longer", async (ends) => {
      const waited = ends.consumer("t").get({ timeout: 0.25 });
      await ends.pass(300);
      assert.equal(await within(SOON, waited, "the end of the time"), undefined);
    });

    test("may be given up, and none is lost by it", async (ends) => {
      const consumer = ends.consumer("t");
      const leave = new AbortController();
      const waited = consumer.get({ signal: leave.signal });
      leave.abort(new Error("the visitor has left"));
      await assert.rejects(waited, /the visitor has left/);
      await assert.rejects(consumer.get({ signal: leave.signal }), /the visitor has left/);
      await ends.producer("t").sendMessages(["a", "b"]);
      assert.equal(await consumer.get(), "a");
      assert.equal(await consumer.get(), "b");
    });

    test("of several who wait go to one each", async (ends) => {
      const consumer = ends.consumer("t");
      const waited = Promise.all([1, 2, 3, 4].map(() => consumer.get()));
      await ends.producer("t").sendMessages(["a", "b", "c", "d"]);
      assert.deepEqual((await within(SOON, waited, "four messages")).sort(), ["a", "b", "c", "d"]);
    });

    test("of other ids and of the other direction are none of theirs", async (ends) => {
      await ends.producer("t").sendMessage("to the client");
      await ends.producer("t", { direction: "to-task" }).sendMessage("to the task");
      await ends.producer("u").sendMessage("to another");
      const task = ends.consumer("t", { direction: "to-task" });
      assert.deepEqual(await task.getMany(9), ["to the task"]);
      assert.deepEqual(await ends.consumer("t").getMany(9), ["to the client"]);
      assert.deepEqual(await ends.consumer("u").getMany(9), ["to another"]);
    });

    test("come many at once", async (ends) => {
      const messages = Array.from({ length: 5_000 }, (_, n) => n);
      const sent = ends.producer("t").sendMessages(messages);
      const consumer = ends.consumer("t");
      const read: unknown[] = [];
      while (read.length < messages.length) read.push(...await within(SOON, consumer.getMany(700), "more"));
      assert.deepEqual(read, messages);
      await sent;
    });

    test("of two senders keep each one's order", async (ends) => {
      const senders = ["a", "b"].map((sender) => {
        const producer = ends.producer("t");
        return Promise.all(Array.from({ length: 300 }, (_, n) => producer.sendMessage([sender, n])));
      });
      const consumer = ends.consumer("t");
      const last: Record<string, number> = { a: -1, b: -1 };
      for (let i = 0; i < 600; i++) {
        const [sender, n] = await within(SOON, consumer.get(), "one more") as [string, number];
        assert.equal(n, last[sender] + 1);
        last[sender] = n;
      }
      await Promise.all(senders);
    });

    test("reach two hundred who wait, each on its own id", async (ends) => {
      const ids = Array.from({ length: 200 }, (_, n) => `t${n}`);
      const reader = ends.place.process(), sender = ends.place.process();
      const waited = ids.map((id) => ends.consumer(id, { clock: reader }).get());
      const producers = ids.map((id) => ends.producer(id, { clock: sender }));
      await Promise.all(producers.map((producer) => producer.sendMessage(producer.id)));
      assert.deepEqual(await within(SOON, Promise.all(waited), "all messages"), ids);
    });

    test("that JSON can't carry are refused, and the others go", async (ends) => {
      const producer = ends.producer("t");
      await assert.rejects(producer.sendMessage({ a: () => 1 }), { name: "UnserializableError" });
      await assert.rejects(producer.sendMessages([1, Symbol("s")]), { name: "UnserializableError" });
      await producer.sendMessage(undefined);
      assert.deepEqual(await ends.consumer("t").getMany(9), [null]);
    });
  });

  describe(`channels of ${name}: the end`, () => {
    test("ends the loop, after all that was sent before", async (ends) => {
      const producer = ends.producer("t");
      const consumer = ends.consumer("t");
      const read: unknown[] = [];
      const loop = (async () => {
        for await (const message of consumer) read.push(message);
      })();
      await producer.sendMessages([1, 2, 3]);
      await eventually(() => assert.equal(read.length, 3), SOON);
      await producer.end();
      await within(SOON, loop, "the end");
      assert.deepEqual(read, [1, 2, 3]);
      assert.equal(consumer.ended, true);
      assert.equal(await consumer.get(), undefined);
      assert.deepEqual(await consumer.getMany(9), []);
    });

    test("is not read twice: the next consumer reads the next stream", async (ends) => {
      const producer = ends.producer("t");
      await producer.sendMessages([1, 2]);
      await producer.end();
      await producer.sendMessage(3);
      await producer.end();
      for (const stream of [[1, 2], [3]]) {
        const consumer = ends.consumer("t");
        assert.deepEqual(await consumer.getMany(1), stream.slice(0, 1));
        const rest: unknown[] = [];
        for await (const message of consumer) rest.push(message);
        assert.deepEqual(rest, stream.slice(1));
        await consumer.close();
      }
    });
  });

  describe(`channels of ${name}: bounds`, () => {
    test("let the sender wait for room", async (ends) => {
      const producer = ends.producer("t", { maxMessages: 3 });
      const sent: number[] = [];
      const all = Promise.all([1, 2, 3, 4, 5].map((n) => producer.sendMessage(n).then(() => sent.push(n))));
      await eventually(() => assert.deepEqual(sent, [1, 2, 3]), SOON);
      const consumer = ends.consumer("t");
      for (let n = 1; n <= 5; n++) assert.equal(await within(SOON, consumer.get(), `message ${n}`), n);
      await within(SOON, all, "room for all");
    });

    test("hold for several senders together", async (ends) => {
      const first = ends.producer("t", { maxMessages: 2 });
      const second = ends.producer("t", { maxMessages: 2 });
      await first.sendMessages([1, 2]);
      const third = second.sendMessage(3);
      const late = assert.rejects(second.sendMessage(4, { timeout: 0.25 }), ChannelFullError);
      await ends.pass(300);
      await within(SOON, late, "the end of the time");
      const consumer = ends.consumer("t");
      assert.deepEqual([await consumer.get(), await consumer.get(), await consumer.get()], [1, 2, 3]);
      await within(SOON, third, "room");
      assert.equal(await consumer.get({ timeout: 0 }), undefined);
    });

    test("what was given up for want of room is not sent", async (ends) => {
      const producer = ends.producer("t", { maxMessages: 1 });
      await producer.sendMessage(1);
      const leave = new AbortController();
      const given = producer.sendMessage(2, { signal: leave.signal });
      const kept = producer.sendMessage(3);
      leave.abort(new Error("given up"));
      await assert.rejects(given, /given up/);
      const consumer = ends.consumer("t");
      assert.equal(await consumer.get(), 1);
      assert.equal(await within(SOON, consumer.get(), "the third"), 3);
      await within(SOON, kept, "room");
    });

    test("or let the oldest go", async (ends) => {
      const producer = ends.producer("t", { maxMessages: 3, whenFull: "drop-oldest" });
      await producer.sendMessages([1, 2]);
      await producer.sendMessages([3, 4, 5]);
      const consumer = ends.consumer("t");
      assert.equal(await consumer.get(), 3);
      await producer.sendMessages([6, 7, 8, 9]);
      const rest = [await consumer.get()];
      while (rest.at(-1) !== 9) rest.push(await within(SOON, consumer.get(), "more"));
      assert.deepEqual(harness.readsAhead ? rest.slice(-3) : rest, [7, 8, 9]);
      assert.equal(await consumer.get({ timeout: 0 }), undefined);
    });

    test("of time: what nobody reads goes", async (ends) => {
      await ends.producer("t", { ttl: 2 }).sendMessages([1, 2]);
      await ends.producer("u", { ttl: 0 }).sendMessage("kept");
      const consumer = ends.consumer("t");
      await ends.pass(500);
      assert.equal(await consumer.get({ timeout: 0 }), 1);
      await consumer.close();
      await ends.pass(2_500);
      assert.deepEqual(await ends.consumer("t").getMany(9, { timeout: 0 }), []);
      await ends.producer("t").sendMessage(3);
      assert.deepEqual(await ends.consumer("t").getMany(9), [3]);
      assert.deepEqual(await ends.consumer("u").getMany(9), ["kept"]);
    });

    test("refuses what can't be", async (ends) => {
      await Promise.resolve();
      assert.throws(() => ends.producer("t", { maxMessages: 0 }), /maxMessages is 0/);
      assert.throws(() => ends.producer("t", { ttl: -1 }), /ttl is -1/);
      assert.throws(() => ends.consumer("t", { pollInterval: 0 }), /pollInterval is 0/);
      await assert.rejects(ends.consumer("t").get({ timeout: -1 }), /timeout is -1/);
      await assert.rejects(ends.consumer("t").getMany(0), /getMany of 0/);
    });
  });

  describe(`channels of ${name}: one reader at a time`, () => {
    test("a reader that is gone without a word leaves what it was not done with to the next", async (ends) => {
      await ends.producer("t").sendMessages(Array.from({ length: 20 }, (_, n) => n));
      const lost = ends.consumer("t");
      for (let n = 0; n < 8; n++) assert.equal(await lost.get(), n);
      const next = ends.consumer("t");
      const first = await next.get() as number;
      // Done with, by those asked for after it; up to a small batch comes once more.
      assert.ok(first >= 3 && first <= 7, `${first}`);
      for (let n = first + 1; n < 20; n++) assert.equal(await next.get(), n);
      assert.equal(await next.get({ timeout: 0 }), undefined);
    });

    test("the former one is told, also while it waits", async (ends) => {
      const producer = ends.producer("t");
      const former = ends.consumer("t");
      const waiting = former.get();
      assert.equal(await former.get({ timeout: 0 }), undefined);
      const told = assert.rejects(waiting, ChannelTakenError);
      const latter = ends.consumer("t");
      const waited = latter.get();
      await within(SOON, told, "the news");
      await assert.rejects(former.get({ timeout: 0 }), ChannelTakenError);
      await producer.sendMessage("for the latter");
      assert.equal(await within(SOON, waited, "the message"), "for the latter");
      await former.close();
      await producer.sendMessage("still its");
      assert.equal(await latter.get(), "still its");
    });

    test("one that closes leaves what it has not read, in order", async (ends) => {
      await ends.producer("t").sendMessages([1, 2, 3, 4, 5, 6, 7]);
      for (const read of [[1, 2, 3], [4], [5, 6, 7]]) {
        const consumer = ends.consumer("t");
        for (const n of read) assert.equal(await consumer.get(), n);
        await consumer.close();
        await assert.rejects(consumer.get(), /was closed/);
      }
      assert.equal(await ends.consumer("t").get({ timeout: 0 }), undefined);
    });

    test("a closed one waits no more", async (ends) => {
      const consumer = ends.consumer("t");
      const waited = assert.rejects(consumer.get(), /the consumer of t was closed/);
      await consumer.close();
      await within(SOON, waited, "the end of the waiting");
      await consumer.close();
    });
  });

  describe(`channels of ${name}: lost answers`, () => {
    test("a push that is repeated adds nothing twice", async (ends) => {
      const store = await openChannels(ends.place.url, ends.place.process());
      const limits = { maxMessages: 100, whenFull: "wait" as const, ttl: 60 };
      /** As a sender does whose connection was made anew; the step may tell of what was stored before first. */
      const push = async (sender: string, texts: string[]) => {
        const writer = store.writer(lineName("t", "to-client"), limits);
        for (let stored = 0; stored < texts.length;) {
          stored += await writer.push(sender, 1 + stored, texts.slice(stored));
        }
      };
      await push("me", ["1", "2"]);
      // Within one process no answer is ever lost.
      if (name !== "memory") await push("me", ["1", "2"]);
      await push("me", name !== "memory" ? ["1", "2", "3"] : ["3"]);
      await push("you", ["4"]);
      assert.deepEqual(await ends.consumer("t").getMany(1), [1]);
      const consumer = ends.consumer("t");
      assert.deepEqual([1, 2, 3, 4], [
        await consumer.get(),
        await consumer.get(),
        await consumer.get(),
        await consumer.get(),
      ]);
      assert.equal(await consumer.get({ timeout: 0 }), undefined);
      await store.rest();
    });

    test("shows no password in its name", async (ends) => {
      const store = await openChannels(ends.place.url, ends.place.process());
      assert.notEqual(store.name, "");
      assert.doesNotMatch(store.name, /:\/\/[^@/]*:(?!\*\*@)[^@/]*@/);
    });
  });
}
