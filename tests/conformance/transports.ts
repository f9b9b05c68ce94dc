/**
 * The one suite that every transport passes. What differs between brokers (how to reach one, how its time passes,
 * how a process on it dies) is the harness's to say; what a worker may rely on is said here, once.
 */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import type { WireMessage } from "../../runtime/protocol/wire_message.ts";
import type { ResultStore } from "../../runtime/results/result_store.ts";
import type {
  Delivery,
  QueueLength,
  Receiver,
  ReceiverEvents,
  Settlement,
  Transport,
  TransportOptions,
} from "../../runtime/transport/transport.ts";
import { eventually, within } from "./patience.ts";

/** Opens brokers of one kind for the suite. */
export interface TransportHarness {
  /** Whether a receiver stores results in the step that settles, given the results of the same peer. */
  readonly storesResults: boolean;
  /** A broker with nothing on it. */
  open(): Promise<TestBroker>;
}

/** One broker, and the processes that a test plays on it. */
export interface TestBroker {
  /** Seconds: the lease of every transport that {@linkcode connect} opens. */
  readonly lease: number;
  /** One more process, as independent of the others as on another machine, connected. */
  connect(options?: Partial<TransportOptions>): Promise<Peer>;
  /** Milliseconds since 1970, by the clock that `due` is measured with. */
  now(): number;
  /** Lets time pass for the broker and for every process that is not paused. */
  pass(ms: number): Promise<void>;
  /** Puts an item to a queue as a stranger may, past all code of ours. */
  put(queue: string, item: Uint8Array): Promise<void>;
  /** Closes all that was opened. */
  close(): Promise<void>;
}

/** One process: a transport, and the result store that belongs to its broker. */
export interface Peer {
  readonly transport: Transport;
  readonly results: ResultStore;
  /** Stops its timers, as a stopped process; what the test calls on it is what it does first on waking up. */
  pause(): void;
  /** Its timers go on, the overdue ones first. */
  resume(): Promise<void>;
  /** Ends it as `kill -9` does: nothing is settled, handed back or closed in an orderly way. */
  crash(): Promise<void>;
  /** Ends it in an orderly way. */
  close(): Promise<void>;
}

/** What a receiver said beside its deliveries. */
export class Heard implements ReceiverEvents {
  readonly losses: Delivery[] = [];
  readonly deaths: { queue: string; reason: string }[] = [];
  readonly troubles: string[] = [];
  restorations = 0;

  lost(deliveries: readonly Delivery[]): void {
    this.losses.push(...deliveries);
  }
  dead(queue: string, reason: string): void {
    this.deaths.push({ queue, reason });
  }
  restored(count: number): void {
    this.restorations += count;
  }
  trouble(message: string): void {
    this.troubles.push(message);
  }
}

const utf8 = new TextEncoder();

/** A task message as Celery's clients send it. */
export function taskMessage(queue: string, id: string, more: Partial<WireMessage> = {}): WireMessage {
  return {
    exchange: "",
    routingKey: queue,
    priority: 0,
    headers: {
      lang: "js",
      task: "math.add",
      id,
      retries: 0,
      eta: null,
      expires: null,
      timelimit: [null, null],
    },
    contentType: "application/json",
    contentEncoding: "utf-8",
    body: `[[1, 2], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`,
    correlationId: id,
    replyTo: "8f9d2c7e-0000-3000-8000-000000000000",
    ...more,
  };
}

/** The ids `PREFIX1` to `PREFIXn`. */
function numbered(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index + 1}`);
}

function headersOf(delivery: Delivery): Record<string, unknown> {
  return JSON.parse(delivery.text).headers;
}

function idOf(delivery: Delivery): string {
  return String(headersOf(delivery).id);
}

function idsOf(deliveries: readonly Delivery[]): string[] {
  return deliveries.map(idOf);
}

function acks(deliveries: readonly Delivery[]): Settlement[] {
  return deliveries.map((delivery) => ({ delivery, outcome: "ack" }));
}

function publish(
  peer: Peer,
  queue: string,
  ids: readonly string[],
  more?: Partial<WireMessage>,
): Promise<void> {
  return peer.transport.publish(ids.map((id) => taskMessage(queue, id, more)));
}

let workers = 0;

interface Work {
  readonly receiver: Receiver;
  readonly heard: Heard;
}

async function work(peer: Peer, queues: readonly string[]): Promise<Work> {
  const heard = new Heard();
  const worker = `worker${++workers}@suite`;
  const receiver = await peer.transport.receive({ queues, worker, results: peer.results, events: heard });
  return { receiver, heard };
}

/** Exchanges until `count` deliveries are there, or nothing more comes. */
async function take(receiver: Receiver, count: number): Promise<Delivery[]> {
  const taken: Delivery[] = [];
  while (taken.length < count) {
    const more = await receiver.exchange([], count - taken.length);
    if (more.length === 0) break;
    taken.push(...more);
  }
  return taken;
}

async function lengthOf(peer: Peer, queue: string): Promise<QueueLength> {
  const lengths = await peer.transport.lengths([queue]);
  assert.equal(lengths.length, 1);
  return lengths[0];
}

function success(id: string, value: unknown = 3) {
  const text =
    `{"status": "SUCCESS", "result": ${JSON.stringify(value)}, "traceback": null, "children": [], ` +
    `"date_done": "2026-01-01T00:00:00+00:00", "task_id": "${id}"}`;
  return { id, state: "SUCCESS", text, ttl: 86400 };
}

/** Runs what every transport must do, against brokers that `harness` opens. */
export function transportSuite(name: string, harness: TransportHarness): void {
  const test = (title: string, run: (broker: TestBroker) => Promise<void>) =>
    it(title, async () => {
      const broker = await harness.open();
      try {
        await run(broker);
      } finally {
        await broker.close();
      }
    });

  describe(`transport ${name}: publish and receive`, () => {
    test("delivers a batch in the order of its publication", async (broker) => {
      const peer = await broker.connect();
      const ids = numbered("m", 100);
      await publish(peer, "celery", ids);
      const { receiver } = await work(peer, ["celery"]);
      assert.deepEqual(idsOf(await take(receiver, 100)), ids);
    });

    test("delivers batches in the order of their publication", async (broker) => {
      const peer = await broker.connect();
      for (const id of numbered("m", 10)) await publish(peer, "celery", [id]);
      const { receiver } = await work(peer, ["celery"]);
      assert.deepEqual(idsOf(await take(receiver, 10)), numbered("m", 10));
    });

    test("fetches no more than there is room for, and nothing from an empty queue", async (broker) => {
      const peer = await broker.connect();
      await publish(peer, "celery", numbered("m", 5));
      const { receiver } = await work(peer, ["celery"]);
      assert.deepEqual(idsOf(await receiver.exchange([], 2)), ["m1", "m2"]);
      assert.deepEqual(idsOf(await receiver.exchange([], 10)), ["m3", "m4", "m5"]);
      assert.deepEqual(await receiver.exchange([], 10), []);
    });

    test("fetches nothing without room", async (broker) => {
      const peer = await broker.connect();
      await publish(peer, "celery", ["m1"]);
      const { receiver } = await work(peer, ["celery"]);
      assert.deepEqual(await receiver.exchange([], 0), []);
      const [delivery] = await receiver.exchange([], 1);
      assert.deepEqual(await receiver.exchange(acks([delivery]), 0), []);
      assert.deepEqual(await lengthOf(peer, "celery"), {
        queue: "celery",
        ready: 0,
        delayed: 0,
        unacked: 0,
        dead: 0,
      });
    });

    test("publishing nothing is harmless", async (broker) => {
      const peer = await broker.connect();
      await peer.transport.publish([]);
      const { receiver } = await work(peer, ["celery"]);
      assert.deepEqual(await receiver.exchange([], 1), []);
    });

    test("carries the message as kombu's envelope, whole", async (broker) => {
      const peer = await broker.connect();
      const body = new Uint8Array([0, 1, 254, 255, 123]);
      await peer.transport.publish([
        taskMessage("celery", "m1", {
          headers: { id: "m1", task: "Grüße.✓", stamps: { a: [1] } },
          priority: 3,
        }),
        taskMessage("celery", "m2", {
          body,
          contentType: "application/x-msgpack",
          contentEncoding: "binary",
        }),
      ]);
      const { receiver } = await work(peer, ["celery"]);
      const deliveries = await take(receiver, 2);
      const byId = new Map(deliveries.map((delivery) => [idOf(delivery), JSON.parse(delivery.text)]));
      const first = byId.get("m1");
      assert.deepEqual(first.headers, { id: "m1", task: "Grüße.✓", stamps: { a: [1] } });
      assert.equal(first["content-type"], "application/json");
      assert.equal(first["content-encoding"], "utf-8");
      assert.equal(first.properties.priority, 3);
      assert.equal(first.properties.correlation_id, "m1");
      assert.equal(first.properties.body_encoding, "base64");
      assert.deepEqual(first.properties.delivery_info, { exchange: "", routing_key: "celery" });
      const second = byId.get("m2");
      assert.equal(second["content-type"], "application/x-msgpack");
      assert.deepEqual(Uint8Array.from(atob(second.body), (char) => char.charCodeAt(0)), body);
      for (const delivery of deliveries) assert.equal(delivery.queue, "celery");
    });

    test("several exchanges of one receiver at once never hand out a message twice", async (broker) => {
      const peer = await broker.connect();
      await publish(peer, "celery", numbered("m", 200));
      const { receiver } = await work(peer, ["celery"]);
      const batches = await Promise.all(Array.from({ length: 8 }, () => receiver.exchange([], 25)));
      assert.deepEqual(idsOf(batches.flat()).sort(), numbered("m", 200).sort());
    });

    test("two workers at once receive disjoint sets that are the whole", async (broker) => {
      const producer = await broker.connect();
      const ids = numbered("m", 500);
      await publish(producer, "celery", ids);
      const seen: string[] = [];
      await Promise.all([1, 2, 3].map(async () => {
        const { receiver } = await work(await broker.connect(), ["celery"]);
        let held: Delivery[] = [];
        do {
          held = await receiver.exchange(acks(held), 16);
          seen.push(...idsOf(held));
        } while (held.length > 0);
      }));
      assert.deepEqual(seen.sort(), [...ids].sort());
      assert.deepEqual(await lengthOf(producer, "celery"), {
        queue: "celery",
        ready: 0,
        delayed: 0,
        unacked: 0,
        dead: 0,
      });
    });

    test("tags are fresh for each delivery", async (broker) => {
      const peer = await broker.connect();
      await publish(peer, "celery", ["m1"]);
      const { receiver } = await work(peer, ["celery"]);
      const tags = new Set<string | number>();
      for (let turn = 0; turn < 3; turn++) {
        const [delivery] = await receiver.exchange([], 1);
        tags.add(delivery.tag);
        await receiver.exchange([{ delivery, outcome: "return" }], 0);
      }
      assert.equal(tags.size, 3);
    });
  });

  describe(`transport ${name}: settle`, () => {
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
      for (let index = 0; index < 3; index++) assert.equal(again[index].text, returned[index].text);
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
      await publish(peer, "celery", ["m1", "m2"]);
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
      await publish(peer, "celery", ["poison", "fine"]);
      const { receiver, heard } = await work(peer, ["celery"]);
      let last: Delivery | undefined;
      for (let turn = 0; turn < 3; turn++) {
        const [delivery] = await receiver.exchange([], 1);
        assert.equal(idOf(delivery), "poison");
        last = delivery;
        await receiver.exchange([{ delivery, outcome: "restore" }], 0);
      }
      assert.deepEqual(idsOf(await take(receiver, 2)), ["fine"]);
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
        delayed: 1,
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
  });

  describe(`transport ${name}: priorities and turns`, () => {
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
  });

  describe(`transport ${name}: delayed messages`, () => {
    test("come back when they are due, not before, unmarked", async (broker) => {
      const peer = await broker.connect();
      await publish(peer, "celery", ["m1"]);
      const { receiver } = await work(peer, ["celery"]);
      const [delivery] = await receiver.exchange([], 1);
      await receiver.exchange([{ delivery, outcome: "delay", due: broker.now() + 1_000 }], 0);
      assert.deepEqual(await lengthOf(peer, "celery"), {
        queue: "celery",
        ready: 0,
        delayed: 1,
        unacked: 0,
        dead: 0,
      });
      assert.deepEqual(await receiver.exchange([], 1), []);
      const arrived = receiver.arrival(AbortSignal.timeout(20_000));
      await broker.pass(1_500);
      await within(5_000, arrived, "the delayed message");
      const [again] = await receiver.exchange([], 1);
      assert.equal(again.text, delivery.text);
      assert.equal(again.queue, "celery");
    });

    test("are moved by another worker when the one that delayed them is gone", async (broker) => {
      const first = await broker.connect();
      const second = await broker.connect();
      await publish(first, "celery", ["m1"]);
      const { receiver } = await work(first, ["celery"]);
      const other = await work(second, ["celery"]);
      const [delivery] = await receiver.exchange([], 1);
      await receiver.exchange([{ delivery, outcome: "delay", due: broker.now() + 500 }], 0);
      await first.crash();
      assert.deepEqual(await other.receiver.exchange([], 1), []);
      const arrived = other.receiver.arrival(AbortSignal.timeout(20_000));
      await broker.pass(1_500);
      await within(5_000, arrived, "the delayed message");
      const [again] = await other.receiver.exchange([], 1);
      assert.equal(again.text, delivery.text);
    });

    test("are fetched by a busy worker that never waits", async (broker) => {
      const peer = await broker.connect();
      await publish(peer, "celery", ["m1"]);
      const { receiver } = await work(peer, ["celery"]);
      const [delivery] = await receiver.exchange([], 1);
      await receiver.exchange([{ delivery, outcome: "delay", due: broker.now() + 200 }], 0);
      await broker.pass(1_000);
      await eventually(async () => {
        await broker.pass(10);
        assert.deepEqual(idsOf(await receiver.exchange([], 1)), ["m1"]);
      });
    });

    test("keep the order of their times", async (broker) => {
      const peer = await broker.connect();
      await publish(peer, "celery", ["later", "sooner"]);
      const { receiver } = await work(peer, ["celery"]);
      const [later, sooner] = await take(receiver, 2);
      await receiver.exchange([
        { delivery: later, outcome: "delay", due: broker.now() + 1_500 },
        { delivery: sooner, outcome: "delay", due: broker.now() + 300 },
      ], 0);
      const seen: string[] = [];
      await eventually(async () => {
        await broker.pass(100);
        seen.push(...idsOf(await receiver.exchange([], 5)));
        assert.deepEqual(seen, ["sooner", "later"]);
      });
    });

    test("a thousand due at once all come", async (broker) => {
      const peer = await broker.connect();
      const ids = numbered("m", 1000);
      await publish(peer, "celery", ids);
      const { receiver } = await work(peer, ["celery"]);
      const held = await take(receiver, 1000);
      const due = broker.now() + 2_000;
      await receiver.exchange(held.map((delivery) => ({ delivery, outcome: "delay", due })), 0);
      assert.equal((await lengthOf(peer, "celery")).delayed, 1000);
      const seen: string[] = [];
      await eventually(async () => {
        await broker.pass(200);
        seen.push(...idsOf(await receiver.exchange([], 500)));
        assert.equal(seen.length, 1000);
      });
      assert.deepEqual(seen.sort(), ids.sort());
    });
  });

  describe(`transport ${name}: bad items`, () => {
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
  });

  describe(`transport ${name}: queues`, () => {
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
      assert.equal(await peer.transport.purge("celery"), 6);
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
      await peer.transport.publish([taskMessage("oid", "r2", { exchange: "reply.celery.pidbox" })]);
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
      await peer.transport.publish([
        taskMessage("key", "r1", { exchange: "nowhere" }),
        taskMessage("celery", "m1"),
      ]);
      assert.equal((await lengthOf(peer, "key")).ready, 0);
      assert.equal((await lengthOf(peer, "celery")).ready, 1);
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
  });

  describe(`transport ${name}: broadcast`, () => {
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
  });

  describe(`transport ${name}: waiting`, () => {
    const soon = 800;

    test("wakes up when another process publishes", async (broker) => {
      const producer = await broker.connect();
      const { receiver } = await work(await broker.connect(), ["celery"]);
      for (const id of numbered("m", 5)) {
        assert.deepEqual(await receiver.exchange([], 1), []);
        const arrived = receiver.arrival(AbortSignal.timeout(20_000));
        await publish(producer, "celery", [id]);
        await within(soon, arrived, `the arrival of ${id}`);
        assert.deepEqual(idsOf(await receiver.exchange([], 1)), [id]);
      }
    });

    test("wakes up when its own process publishes", async (broker) => {
      const peer = await broker.connect();
      const { receiver } = await work(peer, ["celery"]);
      assert.deepEqual(await receiver.exchange([], 1), []);
      const arrived = receiver.arrival(AbortSignal.timeout(20_000));
      await publish(peer, "celery", ["m1"]);
      await within(soon, arrived, "the arrival");
    });

    test("wakes up for any of several queues and any priority", async (broker) => {
      const producer = await broker.connect();
      const queues = ["a", "b", "c", "d", "e"];
      const { receiver } = await work(await broker.connect(), queues);
      for (const [index, queue] of queues.entries()) {
        assert.deepEqual(await receiver.exchange([], 1), []);
        const arrived = receiver.arrival(AbortSignal.timeout(20_000));
        await publish(producer, queue, [queue], { priority: (index * 3) % 10 });
        await within(soon, arrived, `the arrival in ${queue}`);
        assert.deepEqual(idsOf(await receiver.exchange([], 1)), [queue]);
      }
    });

    test("does not miss what came between the empty exchange and the wait", async (broker) => {
      const producer = await broker.connect();
      const { receiver } = await work(await broker.connect(), ["celery"]);
      assert.deepEqual(await receiver.exchange([], 1), []);
      await publish(producer, "celery", ["m1"]);
      await within(soon, receiver.arrival(AbortSignal.timeout(20_000)), "the arrival");
      assert.deepEqual(idsOf(await receiver.exchange([], 1)), ["m1"]);
    });

    test("wakes up for what another worker hands back", async (broker) => {
      const first = await work(await broker.connect(), ["celery"]);
      const peer = await broker.connect();
      const second = await work(peer, ["celery"]);
      await publish(peer, "celery", ["m1"]);
      const [delivery] = await first.receiver.exchange([], 1);
      assert.deepEqual(await second.receiver.exchange([], 1), []);
      const arrived = second.receiver.arrival(AbortSignal.timeout(20_000));
      await first.receiver.exchange([{ delivery, outcome: "return" }], 0);
      await within(soon, arrived, "the arrival");
      assert.deepEqual(idsOf(await second.receiver.exchange([], 1)), ["m1"]);
    });

    test("of several waiting workers one at least gets the message", async (broker) => {
      const producer = await broker.connect();
      const workers = await Promise.all(
        [1, 2, 3, 4].map(async () => work(await broker.connect(), ["celery"])),
      );
      const stop = new AbortController();
      const seen: string[] = [];
      const loops = workers.map(async ({ receiver }) => {
        while (!stop.signal.aborted) {
          const deliveries = await receiver.exchange([], 1);
          seen.push(...idsOf(deliveries));
          if (deliveries.length > 0) await receiver.exchange(acks(deliveries), 0);
          else await receiver.arrival(stop.signal).catch(() => {});
        }
      });
      for (const id of numbered("m", 20)) {
        await publish(producer, "celery", [id]);
        await eventually(() => assert.ok(seen.includes(id)), 10_000);
      }
      stop.abort();
      await within(5_000, Promise.all(loops), "the workers' end");
      assert.deepEqual(seen.sort(), numbered("m", 20).sort());
    });

    test("stops waiting with the signal's reason", async (broker) => {
      const { receiver } = await work(await broker.connect(), ["celery"]);
      const abort = new AbortController();
      const reason = new Error("enough");
      const waiting = assert.rejects(receiver.arrival(abort.signal), (error) => error === reason);
      abort.abort(reason);
      await within(soon, waiting, "the end of the wait");
      await assert.rejects(receiver.arrival(abort.signal), (error) => error === reason);
    });

    test("closing a receiver ends its wait", async (broker) => {
      const { receiver } = await work(await broker.connect(), ["celery"]);
      await receiver.exchange([], 1);
      const ended = receiver.arrival(AbortSignal.timeout(20_000)).then(() => "ended", () => "ended");
      await receiver[Symbol.asyncDispose]();
      assert.equal(await within(soon, ended, "the end of the wait"), "ended");
    });

    test("closing the transport ends the waits of its receivers", async (broker) => {
      const peer = await broker.connect();
      const { receiver } = await work(peer, ["celery"]);
      await receiver.exchange([], 1);
      const ended = receiver.arrival(AbortSignal.timeout(20_000)).then(() => "ended", () => "ended");
      await peer.close();
      assert.equal(await within(soon * 3, ended, "the end of the wait"), "ended");
    });

    test("closing twice is harmless", async (broker) => {
      const peer = await broker.connect();
      const { receiver } = await work(peer, ["celery"]);
      await receiver[Symbol.asyncDispose]();
      await receiver[Symbol.asyncDispose]();
      await peer.transport[Symbol.asyncDispose]();
      await peer.transport[Symbol.asyncDispose]();
    });
  });

  describe(`transport ${name}: leases`, () => {
    const leaseOf = (broker: TestBroker) => broker.lease * 1000;

    /** Lets leases pass until `check` holds; a restore takes at most a lease and a look more. */
    async function restored(broker: TestBroker, check: () => Promise<void>): Promise<void> {
      await broker.pass(leaseOf(broker) * 1.2);
      await eventually(async () => {
        await broker.pass(leaseOf(broker) / 4);
        await check();
      });
    }

    test("what a crashed worker held is restored by a peer after the lease, marked", async (broker) => {
      const first = await broker.connect();
      const second = await broker.connect();
      await publish(first, "celery", numbered("m", 10));
      const { receiver } = await work(first, ["celery"]);
      const other = await work(second, ["celery"]);
      const held = await take(receiver, 6);
      await receiver.exchange(acks(held.slice(0, 2)), 0);
      await first.crash();
      assert.deepEqual(idsOf(await take(other.receiver, 10)), ["m7", "m8", "m9", "m10"]);
      const again: Delivery[] = [];
      await restored(broker, async () => {
        again.push(...await other.receiver.exchange([], 10));
        assert.equal(again.length, 4);
      });
      assert.deepEqual(idsOf(again).sort(), ["m3", "m4", "m5", "m6"]);
      for (const delivery of again) {
        assert.equal(headersOf(delivery).redelivered, true);
        assert.equal(headersOf(delivery).celeriac_deliveries, 1);
      }
      assert.equal(other.heard.restorations, 4);
      assert.deepEqual(other.heard.losses, []);
    });

    test("a restore wakes up a waiting peer", async (broker) => {
      const first = await broker.connect();
      const second = await broker.connect();
      await publish(first, "celery", ["m1"]);
      const { receiver } = await work(first, ["celery"]);
      const other = await work(second, ["celery"]);
      await receiver.exchange([], 1);
      await first.crash();
      assert.deepEqual(await other.receiver.exchange([], 1), []);
      const arrived = other.receiver.arrival(AbortSignal.timeout(60_000));
      await broker.pass(leaseOf(broker) * 2);
      await within(10_000, arrived, "the restored message");
      await eventually(async () => assert.deepEqual(idsOf(await other.receiver.exchange([], 1)), ["m1"]));
    });

    test("is not restored before the lease has passed", async (broker) => {
      const first = await broker.connect();
      const second = await broker.connect();
      await publish(first, "celery", ["m1"]);
      const { receiver } = await work(first, ["celery"]);
      const other = await work(second, ["celery"]);
      await receiver.exchange([], 1);
      await first.crash();
      await broker.pass(leaseOf(broker) * 0.6);
      assert.deepEqual(await other.receiver.exchange([], 1), []);
      assert.equal(other.heard.restorations, 0);
    });

    test("what stood with a crashed worker is restored by one that starts later", async (broker) => {
      const first = await broker.connect();
      await publish(first, "celery", numbered("m", 3));
      const { receiver } = await work(first, ["celery"]);
      await take(receiver, 3);
      await first.crash();
      await broker.pass(leaseOf(broker) * 3);
      const other = await work(await broker.connect(), ["celery"]);
      const again: Delivery[] = [];
      await restored(broker, async () => {
        again.push(...await other.receiver.exchange([], 10));
        assert.equal(again.length, 3);
      });
    });

    test("a live worker keeps what it holds for much longer than the lease", async (broker) => {
      const first = await broker.connect();
      const second = await broker.connect();
      await publish(first, "celery", ["m1", "m2"]);
      const { receiver, heard } = await work(first, ["celery"]);
      const other = await work(second, ["celery"]);
      const held = await take(receiver, 2);
      await broker.pass(leaseOf(broker) * 4);
      assert.deepEqual(await other.receiver.exchange([], 5), []);
      await receiver.exchange(acks(held), 0);
      assert.deepEqual(heard.losses, []);
      assert.equal(other.heard.restorations, 0);
      assert.equal((await lengthOf(first, "celery")).unacked, 0);
    });

    test("a paused worker that comes back finds its deliveries lost, its settlement not done", async (broker) => {
      const first = await broker.connect();
      const second = await broker.connect();
      await publish(first, "celery", ["m1", "m2"]);
      const { receiver, heard } = await work(first, ["celery"]);
      const other = await work(second, ["celery"]);
      const held = await take(receiver, 2);
      first.pause();
      const again: Delivery[] = [];
      await restored(broker, async () => {
        again.push(...await other.receiver.exchange([], 10));
        assert.equal(again.length, 2);
      });
      await receiver.exchange([
        {
          delivery: held[0],
          outcome: "ack",
          result: success("m1", "stale"),
          follow: [taskMessage("next", "f1")],
        },
        { delivery: held[1], outcome: "return" },
      ], 0);
      assert.deepEqual(idsOf(heard.losses).sort(), ["m1", "m2"]);
      assert.deepEqual(await first.results.fetch(["m1"]), [null]);
      assert.equal((await lengthOf(second, "next")).ready, 0);
      assert.deepEqual(await lengthOf(second, "celery"), {
        queue: "celery",
        ready: 0,
        delayed: 0,
        unacked: 2,
        dead: 0,
      });
      await other.receiver.exchange(acks(again), 0);
      assert.deepEqual(other.heard.losses, []);
      assert.equal((await lengthOf(second, "celery")).unacked, 0);
    });

    test("a paused worker that comes back hears of its loss by itself, and goes on", async (broker) => {
      const first = await broker.connect();
      const second = await broker.connect();
      await publish(first, "celery", ["m1"]);
      const { receiver, heard } = await work(first, ["celery"]);
      const other = await work(second, ["celery"]);
      await take(receiver, 1);
      first.pause();
      const again: Delivery[] = [];
      await restored(broker, async () => {
        again.push(...await other.receiver.exchange([], 10));
        assert.equal(again.length, 1);
      });
      await first.resume();
      await eventually(async () => {
        await broker.pass(leaseOf(broker) / 4);
        assert.deepEqual(idsOf(heard.losses), ["m1"]);
      });
      await publish(second, "celery", ["m2"]);
      const [delivery] = await receiver.exchange([], 1);
      assert.equal(idOf(delivery), "m2");
      await broker.pass(leaseOf(broker) * 3);
      await receiver.exchange(acks([delivery]), 0);
      assert.equal(heard.losses.length, 1);
    });

    test("a worker that crashes after it settled leaves what followed, and no more of what it settled", async (broker) => {
      const first = await broker.connect();
      const second = await broker.connect();
      await publish(first, "celery", ["m1", "m2"]);
      const { receiver } = await work(first, ["celery"]);
      const held = await take(receiver, 2);
      await receiver.exchange(
        [{ delivery: held[0], outcome: "ack", result: success("m1"), follow: [taskMessage("celery", "f1")] }],
        0,
      );
      await first.crash();
      const other = await work(second, ["celery"]);
      const seen: Delivery[] = [];
      await restored(broker, async () => {
        seen.push(...await other.receiver.exchange([], 10));
        assert.equal(seen.length, 2);
      });
      assert.deepEqual(idsOf(seen).sort(), ["f1", "m2"]);
      await broker.pass(leaseOf(broker) * 2);
      assert.deepEqual(await other.receiver.exchange([], 10), []);
    });

    test("a worker that crashes right after a fetch that settled leaves the fetched ones alone", async (broker) => {
      const first = await broker.connect();
      const second = await broker.connect();
      await publish(first, "celery", numbered("m", 4));
      const { receiver } = await work(first, ["celery"]);
      const held = await take(receiver, 2);
      assert.deepEqual(idsOf(await receiver.exchange(acks(held), 2)), ["m3", "m4"]);
      await first.crash();
      const other = await work(second, ["celery"]);
      const seen: Delivery[] = [];
      await restored(broker, async () => {
        seen.push(...await other.receiver.exchange([], 10));
        assert.equal(seen.length, 2);
      });
      assert.deepEqual(idsOf(seen).sort(), ["m3", "m4"]);
    });

    test("many that crash one after the other count up to a dead letter", async (broker) => {
      await publish(await broker.connect(), "celery", ["poison"]);
      for (let count = 0; count < 2; count++) {
        const peer = await broker.connect({ maxDeliveries: 2 });
        const { receiver } = await work(peer, ["celery"]);
        await restoredDelivery(broker, receiver, count);
        await peer.crash();
      }
      const last = await broker.connect({ maxDeliveries: 2 });
      const { receiver, heard } = await work(last, ["celery"]);
      await restoredDelivery(broker, receiver, 2);
      await last.crash();
      const end = await broker.connect({ maxDeliveries: 2 });
      const survivor = await work(end, ["celery"]);
      await restored(broker, async () => {
        assert.deepEqual(await survivor.receiver.exchange([], 1), []);
        assert.equal((await lengthOf(end, "celery")).dead, 1);
      });
      assert.deepEqual(heard.deaths, []);
      assert.equal(survivor.heard.deaths.length, 1);
    });

    async function restoredDelivery(broker: TestBroker, receiver: Receiver, count: number): Promise<void> {
      await eventually(async () => {
        const [delivery] = await receiver.exchange([], 1);
        if (delivery === undefined) await broker.pass(leaseOf(broker) / 2);
        assert.equal(headersOf(delivery).celeriac_deliveries ?? 0, count);
      });
    }

    test("what is held when the receiver closes is not lost", async (broker) => {
      const first = await broker.connect();
      const second = await broker.connect();
      await publish(first, "celery", numbered("m", 3));
      const { receiver } = await work(first, ["celery"]);
      await take(receiver, 3);
      await receiver[Symbol.asyncDispose]();
      const other = await work(second, ["celery"]);
      const again: Delivery[] = [];
      await restored(broker, async () => {
        again.push(...await other.receiver.exchange([], 10));
        assert.equal(again.length, 3);
      });
    });
  });
}
