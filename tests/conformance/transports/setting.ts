/** What a transport is tested with: how the suite reaches a broker of one kind, and the processes it plays on it. */
import type { WireMessage } from "../../../runtime/protocol/wire_message.ts";
import type { ResultStore } from "../../../runtime/results/result_store.ts";
import type {
  BrokerWays,
  BuriedMessage,
  Delivery,
  QueueLength,
  Receiver,
  ReceiverEvents,
  Settlement,
  Transport,
  TransportOptions,
} from "../../../runtime/transport/transport.ts";
import { it } from "node:test";
import assert from "node:assert/strict";

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
  readonly deaths: { queue: string; reason: string; message?: BuriedMessage }[] = [];
  readonly troubles: string[] = [];
  restorations = 0;

  lost(deliveries: readonly Delivery[]): void {
    this.losses.push(...deliveries);
  }
  dead(queue: string, reason: string, message?: BuriedMessage): void {
    this.deaths.push({ queue, reason, ...(message && { message }) });
  }
  restored(count: number): void {
    this.restorations += count;
  }
  trouble(message: string): void {
    this.troubles.push(message);
  }
  away(broker: string, why: string | undefined): void {
    this.troubles.push(why === undefined ? `${broker} answers again` : `${broker} is lost: ${why}`);
  }
}

/** Text to bytes. */
export const utf8 = new TextEncoder();

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
export function numbered(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index + 1}`);
}

/** The headers of a delivery's envelope. */
export function headersOf(delivery: Delivery): Record<string, unknown> {
  return JSON.parse(delivery.text).headers;
}

/** The id of a delivery's task. */
export function idOf(delivery: Delivery): string {
  return String(headersOf(delivery).id);
}

/** The ids of deliveries' tasks, in their order. */
export function idsOf(deliveries: readonly Delivery[]): string[] {
  return deliveries.map(idOf);
}

/** What the broker of a peer does its own way. */
export function waysOf({ transport: { ways } }: Peer): Partial<BrokerWays> {
  return ways ?? {};
}

/** Fails unless a delivery is the same message as one before, with no more than a hint that it was handed out. */
export function assertSame(peer: Peer, again: Delivery, before: Delivery): void {
  if (!waysOf(peer).redeliveredIsHint) return assert.equal(again.text, before.text);
  const { headers: { redelivered: _, ...headers }, ...rest } = JSON.parse(again.text);
  assert.deepEqual({ ...rest, headers }, JSON.parse(before.text));
}

/** Acknowledges all of these. */
export function acks(deliveries: readonly Delivery[]): Settlement[] {
  return deliveries.map((delivery) => ({ delivery, outcome: "ack" }));
}

/** Publishes one task message an id. */
export function publish(
  peer: Peer,
  queue: string,
  ids: readonly string[],
  more?: Partial<WireMessage>,
): Promise<void> {
  return peer.transport.publish(ids.map((id) => taskMessage(queue, id, more)));
}

let workers = 0;

/** A receiver, and what it said. */
export interface Work {
  readonly receiver: Receiver;
  readonly heard: Heard;
}

/** Opens one more worker's receiver. */
export async function work(peer: Peer, queues: readonly string[]): Promise<Work> {
  const heard = new Heard();
  const worker = `worker${++workers}@suite`;
  const receiver = await peer.transport.receive({ queues, worker, results: peer.results, events: heard });
  return { receiver, heard };
}

/** Exchanges until `count` deliveries are there, or nothing more comes. */
export async function take(receiver: Receiver, count: number): Promise<Delivery[]> {
  const taken: Delivery[] = [];
  while (taken.length < count) {
    const more = await receiver.exchange([], count - taken.length);
    if (more.length === 0) break;
    taken.push(...more);
  }
  return taken;
}

/** How much is delayed, as the broker tells it. */
export function delayedCount(peer: Peer, count: number): number {
  return waysOf(peer).delayedTogether ? 0 : count;
}

/** How much stands in a queue. */
export async function lengthOf(peer: Peer, queue: string): Promise<QueueLength> {
  const lengths = await peer.transport.lengths([queue]);
  assert.equal(lengths.length, 1);
  return lengths[0];
}

/** A SUCCESS as the worker would store it. */
export function success(id: string, value: unknown = 3) {
  const text =
    `{"status": "SUCCESS", "result": ${JSON.stringify(value)}, "traceback": null, "children": [], ` +
    `"date_done": "2026-01-01T00:00:00+00:00", "task_id": "${id}"}`;
  return { id, state: "SUCCESS", text, ttl: 86400 };
}

/** Gives acknowledgements the time to arrive that a broker does not answer. */
export async function sent(broker: TestBroker, peer: Peer): Promise<void> {
  if (waysOf(peer).acksUnanswered) await broker.pass(100);
}

/** Declares one test, with a broker of its own. */
export type Test = (title: string, run: (broker: TestBroker) => Promise<void>) => void;

/** Tests on the brokers of a harness. */
export function testOn(harness: TransportHarness): Test {
  return (title, run) =>
    it(title, async () => {
      const broker = await harness.open();
      try {
        await run(broker);
      } finally {
        await broker.close();
      }
    });
}
