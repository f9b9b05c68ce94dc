/**
 * Settle, and the way back to the caller, over AMQP (Celery: the `rpc://` backend): each client has one queue for the
 * results of all its calls, and a result is a message to it. Nobody but the caller can ask for it, and it is told once.
 */
import { Buffer } from "node:buffer";
import { getLogger } from "@logtape/logtape";
import type { Channel, ConsumeMessage } from "amqplib";
import { type Clock, sleep } from "../clock.ts";
import { AmqpConnection } from "../transport/amqp/connection.ts";
import type { Outgoing } from "../transport/amqp/message.ts";
import { type AmqpPlace, readAmqpUrl } from "../transport/amqp/place.ts";
import { AmqpPublisher } from "../transport/amqp/publisher.ts";
import { Topology } from "../transport/amqp/topology.ts";
import { BrokerUnavailableError } from "../transport/transport.ts";
import { resultKeyPrefix } from "./result_key.ts";
import type { ResultListener, ResultStore, ResultWatch, StoredResult } from "./result_store.ts";
import { Replies } from "./rpc_replies.ts";

const log = getLogger(["celeriac", "client"]);

/** Replies that the broker sends ahead of their acknowledgement. */
const AHEAD = 1_000;
/** Milliseconds until a reply queue that could not be opened is tried again: at first, and when it stays away. */
const RETRY = { shortest: 100, longest: 5_000 };
/** Seconds for which a reply queue outlives its client, which may only be cut off for a while. */
const QUEUE_EXPIRES = 1_800;

export interface RpcOptions {
  readonly clock: Clock;
  /** The name of the client's own queue. A worker has none, and asks for no results. */
  readonly replyTo?: string;
}

/**
 * Results over the RabbitMQ of a URL. Nothing is opened before it is needed.
 * @param url As `transport/amqp/place.ts` reads it.
 * @throws {BadUrlError}
 */
export function openRpcResults(url: string, options: RpcOptions): ResultStore {
  return new RpcResults(readAmqpUrl(url), options);
}

/** A transport on the same virtual host sends results in the step that settles. */
export class RpcResults implements ResultStore {
  readonly name: string;
  /** The same for a store and a transport on one virtual host. */
  readonly identity: string;
  readonly #options: RpcOptions;
  readonly #connection: AmqpConnection;
  readonly #publisher: AmqpPublisher;
  readonly #topology: Topology;
  readonly #replies = new Replies();
  readonly #closing = new AbortController();
  #listening: Promise<void> | undefined;

  constructor(place: AmqpPlace, options: RpcOptions) {
    this.name = place.name;
    this.identity = place.identity;
    this.#options = options;
    this.#connection = new AmqpConnection(place, { clock: options.clock, random: Math.random });
    this.#publisher = new AmqpPublisher(this.#connection);
    this.#topology = new Topology(this.#connection, place.queues);
    this.#connection.watch({
      gone: () => this.#listening = undefined,
      ready: () => void this.#listenAgain(),
    });
  }

  async connect(signal?: AbortSignal): Promise<void> {
    // A worker whose transport sends its results needs no connection for them here.
    if (this.#options.replyTo === undefined) return signal?.throwIfAborted();
    await this.#connection.connect(signal);
    await this.#listen();
  }

  async store(results: readonly StoredResult[]): Promise<void> {
    const messages = results.flatMap((result) => this.reply(result, result.replyTo) ?? []);
    // The caller's own, which take no way around by the broker.
    for (const { id, text, replyTo } of results) {
      if (replyTo === undefined) this.#replies.put(id, text);
    }
    if (messages.length > 0 && !this.#connection.ready) await this.#connection.connect();
    await this.#publisher.publish(messages);
  }

  /** The message that brings a result to its caller; undefined when nobody waits. */
  reply({ id, text }: StoredResult, replyTo: string | undefined): Outgoing | undefined {
    if (replyTo === undefined) return undefined;
    return {
      exchange: "",
      routingKey: replyTo,
      content: Buffer.from(text),
      options: {
        contentType: "application/json",
        contentEncoding: "utf-8",
        // A caller that waits while the broker is restarted gets its result all the same.
        deliveryMode: 2,
        priority: 0,
        correlationId: id,
      },
    };
  }

  fetch(ids: readonly string[]): Promise<(string | null)[]> {
    return Promise.resolve(ids.map((id) => this.#replies.get(id)));
  }

  forget(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.#replies.delete(id);
    return Promise.resolve();
  }

  watch(listener: ResultListener): ResultWatch {
    return this.#replies.watch(listener);
  }

  keyOf(id: string): string {
    return resultKeyPrefix("") + id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new Error("closed"));
    this.#replies.close();
    const { replyTo } = this.#options;
    // Nobody will ask for what still comes.
    if (replyTo !== undefined && this.#connection.ready) {
      await this.#connection.once((channel) => channel.deleteQueue(replyTo)).catch(() => {});
    }
    await this.#connection.close();
  }

  /** Opens the reply queue and reads it, once a connection. */
  #listen(): Promise<void> {
    const { replyTo } = this.#options;
    if (replyTo === undefined) return Promise.resolve();
    const listening = this.#listening ??= this.#open(replyTo);
    listening.catch(() => {
      if (this.#listening === listening) this.#listening = undefined;
    });
    return listening;
  }

  async #listenAgain(): Promise<void> {
    const { signal } = this.#closing;
    for (let pause = RETRY.shortest; this.#connection.ready && !signal.aborted; pause *= 2) {
      try {
        return await this.#listen();
      } catch (error) {
        // The node of a cluster that has the queue may come back, and so may the right to it.
        if (!(error instanceof BrokerUnavailableError) && pause === RETRY.shortest) {
          log.warning(`No results come at the moment: ${(error as Error).message}`);
        }
        await sleep(this.#options.clock, Math.min(pause, RETRY.longest), signal).catch(() => {});
      }
    }
  }

  async #open(queue: string): Promise<void> {
    await this.#topology.replyQueue(queue, QUEUE_EXPIRES);
    const channel = await this.#connection.channel();
    let newest: ConsumeMessage | undefined;
    const hear = (message: ConsumeMessage | null) => {
      if (message === null) return;
      // What comes together is acknowledged together.
      if (newest === undefined) queueMicrotask(() => newest = acknowledge(channel, newest));
      newest = message;
      this.#replies.put(String(message.properties.correlationId), message.content.toString());
    };
    try {
      await channel.prefetch(AHEAD);
      await channel.consume(queue, hear);
    } catch (error) {
      throw this.#connection.unavailable(error);
    }
  }
}

function acknowledge(channel: Channel, newest: ConsumeMessage | undefined): undefined {
  try {
    if (newest !== undefined) channel.ack(newest, true);
  } catch {
    // The channel is gone: what came through it comes again, and is known already.
  }
}
