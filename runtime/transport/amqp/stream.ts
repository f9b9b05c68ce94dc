/**
 * One queue as a worker sees it: a channel of its own with what came through it. On **receive** it asks for single
 * messages while few are wanted, and is sent many ahead of time while many are; what it has been sent and nobody took
 * goes back. On **settle** it tells what became of each.
 */
import type { Channel, ConsumeMessage, GetMessage } from "amqplib";
import type { Clock } from "../../clock.ts";
import type { Delivery } from "../transport.ts";
import { Acks, withTag } from "./acks.ts";
import { incoming } from "./message.ts";

/** A message of a stream, from its arrival until it is settled. */
export interface Held extends Delivery {
  readonly tag: number;
  readonly replyTo: string | undefined;
  readonly stream: QueueStream;
  readonly deliveryTag: number;
  readonly deliveries: number;
  /** When it came, by the monotonic clock. */
  readonly since: number;
  /** The exchange that settles it. */
  turn: number;
}

/** What a stream needs of its receiver. */
export interface StreamOwner {
  readonly clock: Clock;
  readonly maxMessageBytes: number;
  readonly maxDeliveries: number;
  freshTag(): number;
  /** There is something to take. */
  arrived(): void;
  /** A message can't be handed out; it is unsettled until somebody settles it. */
  refused(refused: Refused): void;
  /** The broker has taken the consumer away: the queue was deleted, or its node is gone. */
  cancelled(stream: QueueStream): void;
  /** The channel was closed; all that came through it is the broker's again. */
  ended(stream: QueueStream, why: string | undefined): void;
}

/** A message that no isolate is to see. */
export interface Refused {
  readonly stream: QueueStream;
  readonly deliveryTag: number;
  readonly reason: string;
  /** Its text, or its bytes where it has none. */
  readonly text: string | undefined;
  readonly content: Uint8Array;
  /** Where its caller waits, if somebody does. */
  readonly replyTo?: string;
}

type Came = ConsumeMessage | GetMessage;

export class QueueStream {
  readonly queue: string;
  /** Handed out and not settled, in the order in which it came. */
  readonly held = new Map<number, Held>();
  readonly #channel: Channel;
  readonly #owner: StreamOwner;
  readonly #acks: Acks;
  #buffer: Held[] = [];
  #head = 0;
  #unsettled = 0;
  #consumer: string | undefined;
  /** How many may be unsettled while the consumer is there. */
  #level = 0;
  /** One step after the other. */
  #steps: Promise<unknown> = Promise.resolve();
  #dry = false;
  #counted = false;
  #closed = false;

  constructor(queue: string, channel: Channel, owner: StreamOwner) {
    this.queue = queue;
    this.#channel = channel;
    this.#owner = owner;
    this.#acks = new Acks(channel, owner.clock);
    let why: string | undefined;
    channel.on("error", (error: Error) => why = error.message);
    channel.once("close", () => {
      if (this.#closed) return;
      this.#closed = true;
      this.#acks.close();
      owner.ended(this, why);
    });
  }

  /** How many there are to take. */
  get size(): number {
    return this.#buffer.length - this.#head;
  }

  /** Whether the broker has sent it all that it has, as far as is known. */
  get dry(): boolean {
    return this.#dry && this.#unsettled < this.#level;
  }

  /** Whether RabbitMQ counts how often it hands a message out: then handing back would count, too. */
  get counted(): boolean {
    return this.#counted;
  }

  /** Milliseconds since the oldest of what was handed out came. */
  get age(): number {
    for (const { since } of this.held.values()) return this.#owner.clock.monotonic() - since;
    return 0;
  }

  /** Hands out at most `most`; tells how many. */
  take(most: number, into: Held[]): number {
    const count = Math.min(most, this.size);
    for (let i = 0; i < count; i++) {
      const held = this.#buffer[this.#head++];
      this.held.set(held.deliveryTag, held);
      into.push(held);
    }
    if (this.#head === this.#buffer.length || this.#head > 1024) {
      this.#buffer = this.#buffer.slice(this.#head);
      this.#head = 0;
    }
    return count;
  }

  /** Asks for one message; false when there is none. */
  async get(): Promise<boolean> {
    const message = await this.#channel.get(this.queue);
    if (message === false) return false;
    this.#came(message);
    return true;
  }

  /** Makes the broker send until `ahead` are there to take. More than that come where `more` says so. */
  consume(ahead: number, more = 0): Promise<void> {
    return this.#step(async () => {
      const needed = this.#unsettled - this.size + ahead;
      if (this.#consumer !== undefined) {
        if (this.#level >= needed) return;
        await this.#cancel();
      }
      this.#level = Math.min(needed + more, 65_535);
      this.#dry = false;
      await this.#channel.prefetch(this.#level);
      const { consumerTag } = await this.#channel.consume(this.queue, (message) => this.#deliver(message));
      this.#consumer = consumerTag;
    });
  }

  /** Looks whether the broker has sent all that it has. */
  async look(): Promise<void> {
    const { messageCount } = await this.#channel.checkQueue(this.queue);
    if (messageCount > 0) return;
    const size = this.size;
    // What was on its way when the queue answered is here when the next answer is.
    await this.#channel.checkQueue(this.queue);
    this.#dry = this.size === size;
  }

  /** The broker sends no more; what came and was not taken is handed out here. */
  pause(): Promise<Held[]> {
    return this.#step(async () => {
      await this.#cancel();
      const left = this.#buffer.slice(this.#head);
      this.#buffer = [];
      this.#head = 0;
      return left;
    });
  }

  /** A message is done with; {@linkcode QueueStream.send} tells the broker. */
  ack(deliveryTag: number): void {
    this.#settled(deliveryTag);
    this.#acks.add(deliveryTag);
  }

  /** Tells the broker what is done with. */
  send(): void {
    if (!this.#closed) this.#acks.send();
  }

  /** A message goes back to the front of its queue. */
  giveBack(deliveryTag: number): void {
    if (this.#closed) return;
    this.#settled(deliveryTag);
    this.#acks.skip(deliveryTag);
    this.#channel.nack(withTag(deliveryTag), false, true);
  }

  /** Resolves when what was given back stands in the queue again, for everybody to see. */
  async returned(): Promise<void> {
    // A channel that is gone has left all that it held to the broker.
    if (!this.#closed) await this.#channel.checkQueue(this.queue).catch(() => {});
  }

  /** Closes the channel; what is unsettled goes back to the queue. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#acks.sendAll();
    this.#closed = true;
    await this.#channel.close().catch(() => {});
  }

  #settled(deliveryTag: number): void {
    this.held.delete(deliveryTag);
    this.#unsettled--;
  }

  async #cancel(): Promise<void> {
    const consumer = this.#consumer;
    if (consumer === undefined) return;
    await this.#channel.cancel(consumer);
    this.#consumer = undefined;
    this.#level = 0;
  }

  #step<T>(run: () => Promise<T>): Promise<T> {
    const step = this.#steps.then(run);
    this.#steps = step.catch(() => {});
    return step;
  }

  #deliver(message: ConsumeMessage | null): void {
    if (message === null) {
      this.#consumer = undefined;
      this.#level = 0;
      return this.#owner.cancelled(this);
    }
    this.#came(message);
    this.#owner.arrived();
  }

  #came(message: Came): void {
    const { deliveryTag } = message.fields;
    const { maxMessageBytes, maxDeliveries, clock } = this.#owner;
    this.#unsettled++;
    this.#dry = false;
    const refuse = (reason: string, text?: string, replyTo?: string) =>
      this.#owner.refused({ stream: this, deliveryTag, reason, text, content: message.content, replyTo });
    const read = incoming(message, message.fields.redelivered);
    if (typeof read === "string") return refuse(read);
    const { text, deliveries, replyTo, counted } = read;
    this.#counted ||= counted;
    if (text.length > maxMessageBytes * 1.4 || message.content.length > maxMessageBytes) {
      return refuse(`larger than the ${maxMessageBytes} bytes that a message may have`, text, replyTo);
    }
    if (deliveries > maxDeliveries) {
      return refuse(`restored ${deliveries - 1} times and never settled`, text, replyTo);
    }
    this.#buffer.push({
      tag: this.#owner.freshTag(),
      queue: this.queue,
      text,
      replyTo,
      stream: this,
      deliveryTag,
      deliveries,
      since: clock.monotonic(),
      turn: 0,
    });
  }
}
