/** The reading end of a line on RabbitMQ: messages come by themselves, a few hundred ahead, and are acknowledged in order. */
import type { Channel, ConsumeMessage } from "amqplib";
import { type Clock, sleep } from "../../clock.ts";
import { uid } from "../../protocol/uid.ts";
import { BrokerUnavailableError } from "../../transport/transport.ts";
import type { LineReader } from "../channel.ts";
import type { Lent } from "../lent.ts";
import type { AmqpLink } from "./link.ts";

/** Messages that the server sends ahead. */
const AHEAD = 500;
/** Milliseconds that a former reader is given to leave, and between two looks whether it has. */
const LEAVING = { most: 2_000, pause: 10 };
/** Milliseconds in which messages arrive that a queue says it has. */
const ARRIVING = { most: 200, pause: 5 };
/** Senders whose last message is remembered. */
const SENDERS = 100;

/** A message that has come. */
interface Arrived {
  readonly tag: number;
  /** `SENDER:NUMBER`, of a sender of ours. */
  readonly id: unknown;
  readonly text: string;
}

export class AmqpReader implements LineReader {
  readonly #link: Lent<AmqpLink>;
  readonly #queue: string;
  readonly #ttl: number;
  readonly #clock: Clock;
  readonly #takenOver: () => Error;
  readonly #token = uid();
  readonly #watchers = new Set<() => void>();
  /** The last number of each sender: what comes again after a broken connection is known by it. */
  readonly #last = new Map<string, number>();
  #channel: Channel | undefined;
  #arrived: Arrived[] = [];
  /** The tags of what was taken last. */
  #taken: number[] = [];
  /** The tag up to which all is done with when the next batch is asked for. */
  #upTo = 0;
  #isTaken = false;

  constructor(link: Lent<AmqpLink>, queue: string, ttl: number, clock: Clock, takenOver: () => Error) {
    this.#link = link;
    this.#queue = queue;
    this.#ttl = ttl;
    this.#clock = clock;
    this.#takenOver = takenOver;
  }

  get pushes(): boolean {
    return this.#channel !== undefined;
  }

  watch(wake: () => void): () => void {
    this.#link.borrow();
    this.#watchers.add(wake);
    return () => {
      this.#watchers.delete(wake);
      this.#link.giveBack();
    };
  }

  take(most: number): Promise<string[]> {
    return this.#link.use(async (link) => {
      if (this.#isTaken) throw this.#takenOver();
      const channel = this.#channel ??= await this.#open(link);
      this.#acknowledge(channel, this.#upTo);
      this.#upTo = 0;
      if (this.#arrived.length === 0) await this.#look(channel);
      if (this.#isTaken) throw this.#takenOver();
      return this.#next(most);
    });
  }

  async release(done: number): Promise<void> {
    const channel = this.#channel;
    this.#channel = undefined;
    this.#link.value?.left(this.#queue, this.#token);
    if (channel === undefined) return;
    this.#acknowledge(channel, this.#taken[done - 1] ?? 0);
    this.#forget();
    // The server puts back what was not acknowledged, in its place.
    await channel.close().catch(() => {});
  }

  async #open(link: AmqpLink): Promise<Channel> {
    let { consumerCount } = await link.ask(this.#queue, this.#ttl);
    await link.takeOver(this.#queue, this.#token, () => this.#leave());
    for (let waited = 0; consumerCount > 0 && waited < LEAVING.most; waited += LEAVING.pause) {
      await sleep(this.#clock, LEAVING.pause);
      ({ consumerCount } = await link.ask(this.#queue, this.#ttl));
    }
    const channel = await link.readingChannel();
    try {
      channel.once("close", () => {
        if (this.#channel !== channel) return;
        this.#channel = undefined;
        this.#forget();
        this.#wake();
      });
      await channel.prefetch(AHEAD);
      await channel.consume(this.#queue, (message) => this.#arrive(channel, message));
      return channel;
    } catch (error) {
      throw new BrokerUnavailableError(`${this.#queue} can't be read now: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  #arrive(channel: Channel, message: ConsumeMessage | null): void {
    // The queue was deleted.
    if (message === null) return void channel.close().catch(() => {});
    const { messageId: id } = message.properties;
    this.#arrived.push({ tag: message.fields.deliveryTag, id, text: message.content.toString() });
    this.#wake();
  }

  /** Takes what has arrived, but for what was taken before. */
  #next(most: number): string[] {
    const texts: string[] = [];
    this.#taken = [];
    let at = 0;
    for (; at < this.#arrived.length && texts.length < most; at++) {
      const { tag, id, text } = this.#arrived[at];
      this.#upTo = tag;
      if (this.#isKnown(id)) continue;
      texts.push(text);
      this.#taken.push(tag);
    }
    this.#arrived.splice(0, at);
    return texts;
  }

  /** Whether a message of ours was taken before; from now on it is. */
  #isKnown(id: unknown): boolean {
    const [, sender, digits] = /^(.+):(\d+)$/.exec(typeof id === "string" ? id : "") ?? [];
    if (sender === undefined) return false;
    const number = Number(digits);
    if (number <= (this.#last.get(sender) ?? 0)) return true;
    if (this.#last.size >= SENDERS && !this.#last.has(sender)) this.#last.clear();
    this.#last.set(sender, number);
    return false;
  }

  /** Asks the server until nothing is left that was there before. */
  async #look(channel: Channel): Promise<void> {
    try {
      // What the queue had handed out when it was asked comes before the answer to the next question.
      for (let waited = 0, empty = 0; waited < ARRIVING.most && empty < 2; waited += ARRIVING.pause) {
        const { messageCount } = await channel.checkQueue(this.#queue);
        if (this.#arrived.length > 0) return;
        if (messageCount === 0) empty++;
        else await sleep(this.#clock, ARRIVING.pause);
      }
    } catch (error) {
      throw new BrokerUnavailableError(`${this.#queue} can't be read now: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  #acknowledge(channel: Channel, tag: number): void {
    if (tag === 0) return;
    try {
      channel.ack({ fields: { deliveryTag: tag } } as ConsumeMessage, true);
    } catch {
      // The channel has gone: what was on it comes again, and is known by its id.
    }
  }

  /** Another reader has taken over. */
  #leave(): void {
    this.#isTaken = true;
    const channel = this.#channel;
    this.#channel = undefined;
    this.#forget();
    void channel?.close().catch(() => {});
    this.#wake();
  }

  /** Tags of a channel mean nothing on another one. What was not acknowledged comes again. */
  #forget(): void {
    this.#arrived = [];
    this.#taken = [];
    this.#upTo = 0;
  }

  #wake(): void {
    for (const wake of [...this.#watchers]) wake();
  }
}
