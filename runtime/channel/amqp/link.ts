/**
 * The connections by which a process sends and reads all its messages on one RabbitMQ: one that publishes and asks, and one
 * that reads, so that a server that takes no more messages still hears what was read. Each reader has a channel of its own:
 * what it had in hand goes back to its queue, in order, when that closes. A thousand readers share a connection.
 */
import { Buffer } from "node:buffer";
import type { Channel, Message } from "amqplib";
import { uid } from "../../protocol/uid.ts";
import { AmqpConnection, type ConnectionOptions } from "../../transport/amqp/connection.ts";
import type { Outgoing } from "../../transport/amqp/message.ts";
import type { AmqpPlace } from "../../transport/amqp/place.ts";
import { AmqpPublisher } from "../../transport/amqp/publisher.ts";
import { NO_ACCESS, NOT_FOUND, PRECONDITION_FAILED, replyCode } from "../../transport/amqp/refusal.ts";
import { BrokerUnavailableError } from "../../transport/transport.ts";

/** Where new readers tell former ones that they have taken over: `LINE TOKEN`. */
const READERS = "celeriac.readers";
/** RabbitMQ allows 2,047 channels a connection, unless told otherwise. */
const CHANNELS = 1_000;

/** What a queue is like now. */
export interface QueueState {
  readonly messageCount: number;
  readonly consumerCount: number;
}

/** A connection that reads. */
interface Reading {
  readonly connection: AmqpConnection;
  channels: number;
}

export class AmqpLink {
  readonly #place: AmqpPlace;
  readonly #options: ConnectionOptions;
  readonly #sending: AmqpConnection;
  readonly #publisher: AmqpPublisher;
  readonly #reading: Reading[] = [];
  /** Who reads which queue in this process, by its own token. */
  readonly #readers = new Map<string, { readonly token: string; readonly leave: () => void }>();
  readonly #name = uid();
  #asking: Promise<Channel> | undefined;
  /** Queues that exist with other arguments than ours, or that this user may not declare. */
  readonly #foreign = new Set<string>();
  #listening: Promise<void> | undefined;

  constructor(place: AmqpPlace, options: ConnectionOptions) {
    this.#place = place;
    this.#options = options;
    this.#sending = new AmqpConnection(place, options);
    this.#publisher = new AmqpPublisher(this.#sending);
  }

  /** Publishes texts to a queue, in order, under these ids. @throws {BrokerUnavailableError} When that is not known. */
  async publish(queue: string, texts: readonly string[], idOf: (index: number) => string): Promise<void> {
    if (!this.#sending.ready) await this.#sending.connect();
    const messages = texts.map((text, i): Outgoing => ({
      exchange: "",
      routingKey: queue,
      content: Buffer.from(text),
      options: {
        contentType: "application/json",
        contentEncoding: "utf-8",
        deliveryMode: 2,
        mandatory: true,
        messageId: idOf(i),
      },
    }));
    const [failure] = (await this.#publisher.publish(messages)).values();
    // The queue was gone; the next try makes it anew.
    if (failure !== undefined) throw new BrokerUnavailableError(failure.message, { cause: failure });
  }

  /** Makes a queue, where it is missing, that goes when it is not used for `ttl` seconds, and looks at it. */
  async ask(queue: string, ttl: number): Promise<QueueState> {
    if (!this.#sending.ready) await this.#sending.connect();
    for (;;) {
      const opening = this.#asking ??= this.#openAsking();
      const channel = await opening;
      const isForeign = this.#foreign.has(queue);
      try {
        return isForeign ? await channel.checkQueue(queue) : await channel.assertQueue(queue, {
          durable: true,
          ...(ttl > 0 && { expires: Math.ceil(ttl * 1000) }),
        });
      } catch (error) {
        if (this.#asking === opening) this.#asking = undefined;
        const code = replyCode(error);
        if (!isForeign && (code === PRECONDITION_FAILED || code === NO_ACCESS)) this.#foreign.add(queue);
        else if (isForeign && code === NOT_FOUND) {
          this.#foreign.delete(queue);
          throw new BrokerUnavailableError(`${this.#place.name}: there is no queue "${queue}"`, {
            cause: error,
          });
        } else throw this.#sending.unavailable(error);
      }
    }
  }

  /** Drops the oldest messages of a queue. */
  async drop(queue: string, count: number): Promise<void> {
    const channel = await (this.#asking ??= this.#openAsking());
    for (let i = 0; i < count; i++) {
      if (await channel.get(queue, { noAck: true }) === false) return;
    }
  }

  /** A channel to read by. @throws {BrokerUnavailableError} */
  async readingChannel(): Promise<Channel> {
    let reading = this.#reading.find(({ channels }) => channels < CHANNELS);
    if (reading === undefined) {
      this.#reading.push(
        reading = { connection: new AmqpConnection(this.#place, this.#options), channels: 0 },
      );
    }
    reading.channels++;
    try {
      if (!reading.connection.ready) await reading.connection.connect();
      const channel = await reading.connection.channel();
      channel.once("close", () => reading.channels--);
      return channel;
    } catch (error) {
      reading.channels--;
      throw error;
    }
  }

  /** From now on `token` reads a queue; whoever did so here or elsewhere is told, and leaves. */
  async takeOver(queue: string, token: string, leave: () => void): Promise<void> {
    const former = this.#readers.get(queue);
    this.#readers.set(queue, { token, leave });
    if (former?.token !== token) former?.leave();
    // A user who may not declare an exchange finds nobody to take over from.
    await (this.#listening ??= this.#listen()).catch(() => this.#listening = undefined);
    const channel = await (this.#asking ??= this.#openAsking());
    channel.publish(READERS, "", Buffer.from(`${queue} ${token} ${this.#name}`));
  }

  /** `token` reads a queue no more. */
  left(queue: string, token: string): void {
    if (this.#readers.get(queue)?.token === token) this.#readers.delete(queue);
  }

  async close(): Promise<void> {
    await Promise.all([this.#sending.close(), ...this.#reading.map(({ connection }) => connection.close())]);
  }

  async #openAsking(): Promise<Channel> {
    if (!this.#sending.ready) await this.#sending.connect();
    const channel = await this.#sending.channel();
    channel.once("close", () => this.#asking = undefined);
    return channel;
  }

  async #listen(): Promise<void> {
    const channel = await this.#sending.channel();
    channel.once("close", () => this.#listening = undefined);
    await channel.assertExchange(READERS, "fanout", { durable: true });
    const { queue } = await channel.assertQueue("", { exclusive: true, durable: false });
    await channel.bindQueue(queue, READERS, "");
    await channel.consume(queue, (message: Message | null) => {
      const [line, token, process] = message?.content.toString().split(" ") ?? [];
      const reader = this.#readers.get(line);
      if (reader === undefined || reader.token === token || process === this.#name) return;
      this.#readers.delete(line);
      reader.leave();
    }, { noAck: true });
  }
}
