/**
 * Publish and receive on RabbitMQ, beside Celery's own clients and workers: its queues, its exchanges, its messages. What
 * a worker does with it stands in `amqp/receiver.ts`.
 */
import type { ConsumeMessage, Options } from "amqplib";
import { uid } from "../protocol/uid.ts";
import type { WireMessage } from "../protocol/wire_message.ts";
import { RpcResults } from "../results/rpc.ts";
import { AmqpConnection } from "./amqp/connection.ts";
import { deadQueue, newestLetters, revivedMessage, takeLetters } from "./amqp/dead_letters.ts";
import { DelayedDelivery } from "./amqp/delayed.ts";
import { incoming, type Outgoing, outgoing } from "./amqp/message.ts";
import { type AmqpPlace, readAmqpUrl } from "./amqp/place.ts";
import { AmqpPublisher } from "./amqp/publisher.ts";
import { AmqpReceiver } from "./amqp/receiver.ts";
import { NOT_FOUND, replyCode } from "./amqp/refusal.ts";
import { Topology } from "./amqp/topology.ts";
import {
  type BrokerWays,
  type DeadLetter,
  PublishError,
  type QueueLength,
  type Receiver,
  type ReceiverOptions,
  type Transport,
  type TransportOptions,
  UnroutableError,
} from "./transport.ts";

/** What Celery gives the queue of a worker's remote control; it is gone with its connection. */
const PIDBOX: Options.AssertQueue = {
  durable: false,
  exclusive: true,
  autoDelete: true,
  expires: 10_000,
  messageTtl: 300_000,
};

/**
 * The transport of a RabbitMQ. Nothing is opened before it is needed.
 * @param url As `amqp/place.ts` reads it.
 * @throws {BadUrlError}
 */
export function openAmqpTransport(url: string, options: TransportOptions): Transport {
  return new AmqpTransport(readAmqpUrl(url), options);
}

class AmqpTransport implements Transport {
  readonly name: string;
  readonly urgentPriority = 9;
  readonly ways: BrokerWays;
  /** RabbitMQ's `consumer_timeout`, which a client can't ask for. */
  readonly takesBackAfter = 1_800;
  readonly #place: AmqpPlace;
  readonly #options: TransportOptions;
  /** Messages go out on one connection and come in on another: a broker that is full stops the first alone. */
  readonly #publishing: AmqpConnection;
  readonly #receiving: AmqpConnection;
  readonly #publisher: AmqpPublisher;
  /** What exists, as each connection has found it. */
  readonly #publishingTopology: Topology;
  readonly #topology: Topology;
  readonly #delayed: DelayedDelivery;
  readonly #receivers = new Set<AmqpReceiver>();
  readonly #listening = new Set<AsyncDisposable>();

  constructor(place: AmqpPlace, options: TransportOptions) {
    this.name = place.name;
    const quorum = place.queues.type === "quorum";
    this.ways = {
      restoresAtOnce: true,
      countsCrashes: quorum,
      redeliveredIsHint: true,
      restoresToTheEnd: true,
      returnsToTheEnd: quorum,
      delayedTogether: true,
      listsOwnOnly: true,
      countsOwnOnly: true,
      acksUnanswered: true,
      tellsUnroutable: true,
    };
    this.#place = place;
    this.#options = options;
    this.#publishing = new AmqpConnection(place, options);
    this.#receiving = new AmqpConnection(place, options);
    this.#publisher = new AmqpPublisher(this.#publishing);
    this.#publishingTopology = new Topology(this.#publishing, place.queues);
    this.#topology = new Topology(this.#receiving, place.queues);
    this.#delayed = new DelayedDelivery(this.#publishing, place.queues.type ?? "quorum");
  }

  connect(signal?: AbortSignal): Promise<void> {
    return this.#publishing.connect(signal);
  }

  async declare(queues: readonly string[]): Promise<void> {
    await this.connect();
    await Promise.all(queues.map((queue) => this.#publishingTopology.queue(queue)));
  }

  async publish(messages: readonly WireMessage[]): Promise<void> {
    if (messages.length === 0) return;
    if (!this.#publishing.ready) await this.connect();
    const failures = new Map<number, Error>();
    const sent: number[] = [];
    for (let i = 0; i < messages.length; i++) {
      const { exchange, routingKey } = messages[i];
      try {
        if (exchange === "") {
          if (!this.#publishingTopology.isDeclared(routingKey)) {
            await this.#publishingTopology.queue(routingKey);
          }
        } else if (!await this.#publishingTopology.knows(exchange)) {
          throw new UnroutableError(`${this.name}: there is no exchange "${exchange}"`);
        }
        sent.push(i);
      } catch (error) {
        if (!(error instanceof UnroutableError)) throw error;
        failures.set(i, error);
      }
    }
    await this.#send(messages, sent, failures);
    if (failures.size > 0) throw new PublishError(failures);
  }

  async bind(exchange: string, routingKey: string, queue: string): Promise<void> {
    await this.#receiving.connect();
    await this.#topology.bind(exchange, routingKey, queue);
  }

  async receive(options: ReceiverOptions): Promise<Receiver> {
    await this.connect();
    await this.#receiving.connect();
    const { results } = options;
    const here = results instanceof RpcResults && results.identity === this.#place.identity;
    const receiver = new AmqpReceiver(options, {
      receiving: this.#receiving,
      publishing: this.#publishing,
      publisher: this.#publisher,
      topology: this.#topology,
      publishingTopology: this.#publishingTopology,
      delayed: this.#delayed,
      options: this.#options,
      ...(here && { reply: (result, replyTo) => results.reply(result, replyTo) }),
      closed: () => void this.#receivers.delete(receiver),
    });
    await receiver.open();
    this.#receivers.add(receiver);
    return receiver;
  }

  async broadcast(exchange: string, message: WireMessage): Promise<void> {
    if (!this.#publishing.ready) await this.connect();
    await this.#publishingTopology.exchange(exchange, "fanout");
    await this.#publisher.publish([outgoing({ ...message, exchange }, false)]);
  }

  async listen(exchange: string, listener: (text: string) => void): Promise<AsyncDisposable> {
    await this.#receiving.connect();
    let stop = await this.#hear(exchange, listener);
    let closed = false;
    const unwatch = this.#receiving.watch({
      ready: async () => {
        const again = await this.#hear(exchange, listener).catch(() => stop);
        if (closed) await again();
        else stop = again;
      },
    });
    const listening = {
      [Symbol.asyncDispose]: async () => {
        closed = true;
        unwatch();
        this.#listening.delete(listening);
        await stop();
      },
    };
    this.#listening.add(listening);
    return listening;
  }

  async lengths(queues: readonly string[] = this.#known()): Promise<QueueLength[]> {
    await this.#receiving.connect();
    return await Promise.all(queues.map(async (queue) => {
      const [ready, dead] = await Promise.all([this.#ready(queue), this.#ready(deadQueue(queue))]);
      let ahead = 0, unacked = 0;
      for (const receiver of this.#receivers) {
        const count = receiver.count(queue);
        ahead += count.ahead;
        unacked += count.held;
      }
      return { queue, ready: ready + ahead, delayed: 0, unacked, dead };
    }));
  }

  async purge(queue: string): Promise<number> {
    await this.#receiving.connect();
    let count = 0;
    for (const receiver of this.#receivers) count += await receiver.purge(queue);
    const purged = await this.#ifThere(() =>
      this.#receiving.once((channel) => channel.purgeQueue(queue).then(({ messageCount }) => messageCount))
    );
    return count + (purged ?? 0);
  }

  async deleteQueue(queue: string): Promise<void> {
    await this.#receiving.connect();
    this.#topology.forget(queue);
    this.#publishingTopology.forget(queue);
    await this.#receiving.once((channel) => channel.deleteQueue(queue));
  }

  async deadLetters(queue: string, limit: number): Promise<DeadLetter[]> {
    await this.#receiving.connect();
    const count = await this.#ready(deadQueue(queue));
    return await this.#receiving.once((channel) => newestLetters(channel, queue, count, limit));
  }

  requeueDead(letters: readonly DeadLetter[]): Promise<number> {
    return this.#takeDead(letters, async (queue, messages) => {
      if (messages.length === 0) return;
      await this.declare([queue]);
      const failures = await this.#publisher.publish(
        messages.map((message) => revivedMessage(message, queue)),
      );
      if (failures.size > 0) throw new PublishError(failures);
    });
  }

  dropDead(letters: readonly DeadLetter[]): Promise<number> {
    return this.#takeDead(letters, () => Promise.resolve());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#receivers].map((receiver) => receiver[Symbol.asyncDispose]()));
    await Promise.all([...this.#listening].map((listening) => listening[Symbol.asyncDispose]()));
    await Promise.all([this.#publishing.close(), this.#receiving.close()]);
  }

  /** Takes letters out of their queues once `keep` is done with them. */
  async #takeDead(
    letters: readonly DeadLetter[],
    keep: (queue: string, messages: readonly ConsumeMessage[]) => Promise<void>,
  ): Promise<number> {
    await this.#receiving.connect();
    let taken = 0;
    for (const queue of new Set(letters.map(({ queue }) => queue))) {
      const own = letters.filter((letter) => letter.queue === queue);
      const count = await this.#ready(deadQueue(queue));
      // The channel is closed whatever happens: that puts back what stays.
      const [result] = await this.#receiving.once((channel) =>
        Promise.allSettled([
          takeLetters(channel, queue, count, own, (messages) => keep(queue, messages)),
        ])
      );
      if (result.status === "rejected") throw result.reason;
      taken += result.value;
    }
    return taken;
  }

  /** Publishes those of `messages` that `indexes` name; one whose queue was deleted once more, after declaring it. */
  async #send(
    messages: readonly WireMessage[],
    indexes: number[],
    failures: Map<number, Error>,
  ): Promise<void> {
    const out: Outgoing[] = indexes.map((index) => outgoing(messages[index], true));
    const failed = await this.#publisher.publish(out);
    if (failed.size === 0) return;
    const again = [...failed.keys()].filter((i) => out[i].exchange === "" && isUnroutable(failed.get(i)));
    for (const [i, error] of failed) if (!again.includes(i)) failures.set(indexes[i], error);
    if (again.length === 0) return;
    for (const { routingKey } of again.map((i) => out[i])) this.#publishingTopology.forget(routingKey);
    for (const { routingKey } of again.map((i) => out[i])) await this.#publishingTopology.queue(routingKey);
    const still = await this.#publisher.publish(again.map((i) => out[i]));
    for (const [i, error] of still) failures.set(indexes[again[i]], error);
  }

  /** Listens on a queue of its own, which is gone with the connection. */
  async #hear(exchange: string, listener: (text: string) => void): Promise<() => Promise<void>> {
    await this.#topology.exchange(exchange, "fanout");
    const channel = await this.#receiving.channel();
    const queue = `${uid()}.${exchange}`;
    await channel.assertQueue(queue, PIDBOX);
    await channel.bindQueue(queue, exchange, "#");
    await channel.consume(queue, (message) => {
      if (message === null) return;
      const read = incoming(message, false);
      if (typeof read !== "string") listener(read.text);
    }, { noAck: true });
    return () => channel.close().catch(() => {});
  }

  #known(): string[] {
    const known = new Set([...this.#publishingTopology.queues, ...this.#topology.queues]);
    return [...known].filter((queue) => !queue.startsWith(deadQueue("")));
  }

  async #ready(queue: string): Promise<number> {
    const count = await this.#ifThere(() =>
      this.#receiving.once((channel) => channel.checkQueue(queue).then(({ messageCount }) => messageCount))
    );
    return count ?? 0;
  }

  async #ifThere<T>(run: () => Promise<T>): Promise<T | undefined> {
    try {
      return await run();
    } catch (error) {
      if (replyCode(error) === NOT_FOUND) return undefined;
      throw error;
    }
  }
}

function isUnroutable(error: Error | undefined): boolean {
  return error instanceof UnroutableError;
}
