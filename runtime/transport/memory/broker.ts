/**
 * The state behind `memory:` URLs: queues, owners of deliveries, schedule, bindings. All instances of one process that
 * are opened with the same URL share one broker, for as long as the process lives. Every method is one step: nothing
 * in here waits.
 */
import { encodeEnvelope, markRestored } from "../../protocol/envelope.ts";
import type { WireMessage } from "../../protocol/wire_message.ts";
import { revive } from "../revive.ts";
import type { DeadLetter, Delivery, QueueLength } from "../transport.ts";
import { ReadyQueue } from "./ready_queue.ts";
import type { RevokedTimes } from "./revoked_ids.ts";

/** A message on a memory broker. */
export interface MemoryMessage {
  readonly queue: string;
  readonly priority: number;
  readonly text: string;
  /** What the item was before it was read as text, when that is not the same. */
  readonly raw?: Uint8Array;
}

/** A message in the hands of a receiver. */
export interface HeldMessage {
  /** Its text changes with that of the message, when a start is counted. */
  readonly delivery: Delivery & { text: string };
  message: MemoryMessage;
}

/** Who holds deliveries, as its peers see it. */
export interface Owner {
  beat: number;
  readonly held: Map<string | number, HeldMessage>;
}

interface Delayed {
  readonly due: number;
  readonly message: MemoryMessage;
}

interface Queue {
  readonly priorities: ReadyQueue<MemoryMessage>[];
  readonly dead: DeadLetter[];
}

const PRIORITIES = 10;
/** The newest are kept, so that a process that lives long does not fill up with them. */
const MAX_DEAD_LETTERS = 10_000;
const brokers = new Map<string, MemoryBroker>();
const utf8 = new TextEncoder();

export class MemoryBroker {
  readonly owners = new Map<number, Owner>();
  readonly revoked: RevokedTimes = new Map();
  readonly #queues = new Map<string, Queue>();
  readonly #bindings = new Map<string, Set<string>>();
  readonly #listeners = new Map<string, Set<(text: string) => void>>();
  readonly #waiting = new Set<() => void>();
  /** In the order of their times. */
  #delayed: Delayed[] = [];
  #lastOwner = 0;
  #lastLetter = 0;

  /** The broker of that name in this process. */
  static named(name: string): MemoryBroker {
    let broker = brokers.get(name);
    if (broker === undefined) brokers.set(name, broker = new MemoryBroker());
    return broker;
  }

  declare(queue: string): void {
    this.#queue(queue);
  }

  bind(exchange: string, routingKey: string, queue: string): void {
    this.#queue(queue);
    const key = JSON.stringify([exchange, routingKey]);
    const bound = this.#bindings.get(key);
    if (bound === undefined) this.#bindings.set(key, new Set([queue]));
    else bound.add(queue);
  }

  publish(messages: readonly WireMessage[]): void {
    for (const message of messages) {
      const text = encodeEnvelope(message);
      const priority = Math.min(PRIORITIES - 1, Math.max(0, Math.trunc(message.priority) || 0));
      for (const queue of this.#routed(message)) this.#ready(queue, priority).push({ queue, priority, text });
    }
    this.#wake();
  }

  /** Puts any item to a queue, whatever it is. */
  put(queue: string, item: Uint8Array): void {
    const text = new TextDecoder().decode(item);
    this.#ready(queue, 0).push({ queue, priority: 0, text, raw: item });
    this.#wake();
  }

  #routed({ exchange, routingKey }: WireMessage): Iterable<string> {
    if (exchange === "") return [routingKey];
    return this.#bindings.get(JSON.stringify([exchange, routingKey])) ?? [];
  }

  /** The most urgent message of a queue. */
  take(queue: string): MemoryMessage | undefined {
    for (const ready of this.#queue(queue).priorities) {
      const message = ready.shift();
      if (message !== undefined) return message;
    }
    return undefined;
  }

  hasReady(queues: readonly string[]): boolean {
    return queues.some((queue) => this.#queues.get(queue)?.priorities.some((ready) => ready.length > 0));
  }

  /** Puts a message where it is next out. */
  handBack(message: MemoryMessage): void {
    this.#ready(message.queue, message.priority).unshift(message);
    this.#wake();
  }

  /** A message marked, and counted `by` so much; as it was, when it can't be. */
  marked(message: MemoryMessage, by: 0 | 1): MemoryMessage {
    if (message.raw !== undefined && !sameBytes(utf8.encode(message.text), message.raw)) return message;
    return { queue: message.queue, priority: message.priority, text: markRestored(message.text, by).text };
  }

  /** Hands a message back marked and counted, or tells why it became a dead letter. */
  restore(message: MemoryMessage, maxDeliveries: number, now: number): string | undefined {
    const { text, deliveries } = markRestored(message.text);
    const isText = message.raw === undefined || sameBytes(utf8.encode(message.text), message.raw);
    if (deliveries > 0 && deliveries <= maxDeliveries && isText) {
      this.handBack({ queue: message.queue, priority: message.priority, text });
      return undefined;
    }
    const reason = deliveries > maxDeliveries
      ? `restored ${maxDeliveries} times without being settled`
      : "not an envelope: it cannot be marked as restored";
    this.bury(message, reason, now);
    return reason;
  }

  /** Puts a message to its queue's dead letters. */
  bury(message: MemoryMessage, reason: string, at: number): void {
    const body = message.raw ?? utf8.encode(message.text);
    const { dead } = this.#queue(message.queue);
    dead.push({ tag: ++this.#lastLetter, queue: message.queue, reason, at, body });
    if (dead.length > MAX_DEAD_LETTERS) dead.shift();
  }

  delay(message: MemoryMessage, due: number): void {
    let low = 0;
    for (let high = this.#delayed.length; low < high;) {
      const middle = (low + high) >>> 1;
      if (this.#delayed[middle].due <= due) low = middle + 1;
      else high = middle;
    }
    this.#delayed.splice(low, 0, { due, message });
    this.#wake();
  }

  /** Makes ready what is due. */
  moveDue(now: number): void {
    if (!(this.nextDue() <= now)) return;
    let count = 0;
    while (count < this.#delayed.length && this.#delayed[count].due <= now) count++;
    for (const { message } of this.#delayed.splice(0, count)) {
      this.#ready(message.queue, message.priority).push(message);
    }
    this.#wake();
  }

  /** Milliseconds since 1970; `Infinity` when nothing is delayed. */
  nextDue(): number {
    return this.#delayed[0]?.due ?? Infinity;
  }

  newOwner(): number {
    this.owners.set(++this.#lastOwner, { beat: 0, held: new Map() });
    return this.#lastOwner;
  }

  /** Calls `wake` once, when something may have become ready or due at another time. */
  onChange(wake: () => void): void {
    this.#waiting.add(wake);
  }

  offChange(wake: () => void): void {
    this.#waiting.delete(wake);
  }

  #wake(): void {
    if (this.#waiting.size === 0) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  listen(exchange: string, listener: (text: string) => void): void {
    const listeners = this.#listeners.get(exchange);
    if (listeners === undefined) this.#listeners.set(exchange, new Set([listener]));
    else listeners.add(listener);
  }

  unlisten(exchange: string, listener: (text: string) => void): void {
    this.#listeners.get(exchange)?.delete(listener);
  }

  broadcast(exchange: string, message: WireMessage): void {
    const text = encodeEnvelope({ ...message, exchange });
    for (const listener of this.#listeners.get(exchange) ?? []) queueMicrotask(() => listener(text));
  }

  lengths(queues: readonly string[] = [...this.#queues.keys()]): QueueLength[] {
    const unacked = new Map<string, number>();
    const delayed = new Map<string, number>();
    const count = (counts: Map<string, number>, queue: string) =>
      counts.set(queue, (counts.get(queue) ?? 0) + 1);
    for (const { held } of this.owners.values()) {
      for (const { message } of held.values()) count(unacked, message.queue);
    }
    for (const { message } of this.#delayed) count(delayed, message.queue);
    return queues.map((queue) => ({
      queue,
      ready: this.#queues.get(queue)?.priorities.reduce((sum, ready) => sum + ready.length, 0) ?? 0,
      delayed: delayed.get(queue) ?? 0,
      unacked: unacked.get(queue) ?? 0,
      dead: this.#queues.get(queue)?.dead.length ?? 0,
    }));
  }

  purge(queue: string): number {
    const [{ ready, delayed }] = this.lengths([queue]);
    const state = this.#queues.get(queue);
    state?.priorities.splice(0, PRIORITIES, ...emptyPriorities());
    if (delayed > 0) this.#delayed = this.#delayed.filter(({ message }) => message.queue !== queue);
    return ready + delayed;
  }

  delete(queue: string): void {
    this.purge(queue);
    this.#queues.delete(queue);
    for (const bound of this.#bindings.values()) bound.delete(queue);
  }

  deadLetters(queue: string, limit: number): DeadLetter[] {
    const dead = this.#queues.get(queue)?.dead ?? [];
    return dead.slice(Math.max(0, dead.length - limit)).reverse();
  }

  /** Takes dead letters out; those that were there. */
  takeDead(letters: readonly DeadLetter[]): DeadLetter[] {
    return letters.flatMap(({ queue, tag }) => {
      const dead = this.#queues.get(queue)?.dead ?? [];
      const index = dead.findIndex((letter) => letter.tag === tag);
      return index < 0 ? [] : dead.splice(index, 1);
    });
  }

  requeueDead(letters: readonly DeadLetter[]): number {
    const taken = this.takeDead(letters);
    for (const { queue, body } of taken) {
      const { text, priority } = revive(body);
      const message = text === undefined
        ? { queue, priority, text: new TextDecoder().decode(body), raw: body }
        : { queue, priority, text };
      this.#ready(queue, priority).push(message);
    }
    this.#wake();
    return taken.length;
  }

  #queue(name: string): Queue {
    let queue = this.#queues.get(name);
    if (queue === undefined) this.#queues.set(name, queue = { priorities: emptyPriorities(), dead: [] });
    return queue;
  }

  #ready(queue: string, priority: number): ReadyQueue<MemoryMessage> {
    return this.#queue(queue).priorities[priority];
  }
}

function emptyPriorities(): ReadyQueue<MemoryMessage>[] {
  return Array.from({ length: PRIORITIES }, () => new ReadyQueue<MemoryMessage>());
}

function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}
