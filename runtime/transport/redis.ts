/**
 * Publish and receive on Redis, beside Celery's own clients and workers: its keys, its envelope, its bindings and its
 * channels. What a worker does with it stands in `redis/receiver.ts`, each script in a file of its own.
 */
import { encodeEnvelope } from "../protocol/envelope.ts";
import type { WireMessage } from "../protocol/wire_message.ts";
import { RedisResults } from "../results/redis.ts";
import { RedisConnection } from "./redis/connection.ts";
import { RedisInspection } from "./redis/inspection.ts";
import { bindingMember, RedisKeys, stepOf } from "./redis/keys.ts";
import { readRedisUrl, type RedisPlace } from "./redis/place.ts";
import { publishScript } from "./redis/publish_script.ts";
import { RedisReceiver } from "./redis/receiver.ts";
import { awaitReplicas } from "./redis/replicas.ts";
import { RedisRevokedIds } from "./redis/revoked_ids.ts";
import { RedisSubscriber } from "./redis/subscriber.ts";
import type { RevokedIds } from "./revoked_ids.ts";
import type {
  DeadLetter,
  QueueLength,
  Receiver,
  ReceiverOptions,
  Transport,
  TransportOptions,
} from "./transport.ts";

/** Messages that one command publishes, and their length in characters, at most. */
const BATCH = { messages: 1_000, length: 4 * 1024 * 1024 };

/**
 * The transport of a Redis. Nothing is opened before it is needed.
 * @param url As `redis/place.ts` reads it.
 * @throws {BadUrlError}
 */
export function openRedisTransport(url: string, options: TransportOptions): Transport {
  return redisTransport(readRedisUrl(url), options);
}

/** The transport of a place that one connection reaches: a Redis, or a part of a cluster. */
export function redisTransport(place: RedisPlace, options: TransportOptions): Transport {
  const visibilityTimeout = place.visibilityTimeout ?? options.visibilityTimeout;
  return new RedisTransport(place, { ...options, visibilityTimeout });
}

class RedisTransport implements Transport {
  readonly name: string;
  readonly urgentPriority = 0;
  readonly revoked: RevokedIds;
  readonly #place: RedisPlace;
  readonly #options: TransportOptions;
  readonly #keys: RedisKeys;
  readonly #commands: RedisConnection;
  /** One of its own where replicas are waited for, since all else on that connection waits as long. */
  readonly #publishing: RedisConnection;
  readonly #subscriber: RedisSubscriber;
  readonly #inspection: RedisInspection;
  readonly #receivers = new Set<Receiver>();
  /** Queues that this process has declared, so that it does so once. */
  readonly #declared = new Set<string>();

  constructor(place: RedisPlace, options: TransportOptions) {
    this.name = place.name;
    this.#place = place;
    this.#options = options;
    this.#keys = new RedisKeys(place.keyPrefix, place.db);
    this.#commands = new RedisConnection(place, options);
    this.#publishing = place.replicas === undefined ? this.#commands : new RedisConnection(place, options);
    this.#subscriber = new RedisSubscriber(place, options);
    this.#inspection = new RedisInspection(this.#commands, this.#keys);
    this.revoked = new RedisRevokedIds(async (script, key, args) => {
      await this.connect();
      return await this.#commands.run(script, 1, [key, ...args]);
    }, place.keyPrefix);
    this.#commands.watch({ ready: () => this.#declareAgain() });
  }

  connect(signal?: AbortSignal): Promise<void> {
    return this.#commands.connect(signal);
  }

  async declare(queues: readonly string[]): Promise<void> {
    await this.connect();
    await Promise.all(queues.map((queue) => this.#declareOnce(queue)));
  }

  async publish(messages: readonly WireMessage[]): Promise<void> {
    if (messages.length === 0) return;
    const lists = new Map<string, string[]>();
    const routed: (string | number)[] = [];
    const sent: Promise<unknown>[] = [];
    const publishing = this.#publishing;
    if (!this.#commands.ready) await this.connect();
    if (!publishing.ready) await publishing.connect();
    const { generation } = publishing;
    for (const message of messages) {
      const step = stepOf(message.priority);
      const text = encodeEnvelope(message);
      if (message.exchange !== "") {
        routed.push(message.exchange, message.routingKey, step, text);
        continue;
      }
      const queue = message.routingKey;
      if (!this.#declared.has(queue)) sent.push(this.#declareOnce(queue));
      const key = step === 0 && this.#keys.prefix === "" ? queue : this.#keys.list(queue, step);
      const list = lists.get(key);
      if (list === undefined) lists.set(key, [key, text]);
      else list.push(text);
    }
    for (const list of lists.values()) {
      for (const command of pushes(list)) sent.push(publishing.send("lpush", command));
    }
    if (routed.length > 0) sent.push(publishing.run(publishScript, 0, [this.#keys.prefix, ...routed]));
    await Promise.all(sent);
    if (this.#place.replicas !== undefined) await awaitReplicas(publishing, this.#place.replicas, generation);
  }

  async bind(exchange: string, routingKey: string, queue: string): Promise<void> {
    await this.connect();
    const member = bindingMember(routingKey, queue);
    await Promise.all([
      this.#commands.send("sadd", [this.#keys.bindings(exchange), member]),
      this.#commands.send("sadd", [this.#keys.permanentBindings(exchange), member]),
    ]);
  }

  async receive(options: ReceiverOptions): Promise<Receiver> {
    await this.declare(options.queues);
    const { results } = options;
    const here = results instanceof RedisResults && results.identity === this.#place.identity;
    const receiver = new RedisReceiver(options, {
      commands: this.#commands,
      subscriber: this.#subscriber,
      keys: this.#keys,
      options: this.#options,
      ...(here && { results }),
      closed: () => void this.#receivers.delete(receiver),
    });
    await receiver.open();
    this.#receivers.add(receiver);
    return receiver;
  }

  async broadcast(exchange: string, message: WireMessage): Promise<void> {
    await this.connect();
    await this.#commands.send("publish", [
      this.#keys.channel(exchange, message.routingKey),
      encodeEnvelope(message),
    ]);
  }

  async listen(exchange: string, listener: (text: string) => void): Promise<AsyncDisposable> {
    const channels = [this.#keys.channel(exchange, "")];
    // kombu's events go to a channel for each of their types.
    const patterns = [`${channels[0].replace(/[\\*?[\]]/g, "\\$&")}/*`];
    const hear = (text: string) => listener(text);
    const stop = () => {
      this.#subscriber.unsubscribe(channels, hear);
      this.#subscriber.unsubscribePatterns(patterns, hear);
    };
    try {
      await this.#subscriber.subscribe(channels, hear);
      await this.#subscriber.subscribePatterns(patterns, hear);
    } catch (error) {
      stop();
      throw error;
    }
    return { [Symbol.asyncDispose]: () => Promise.resolve(stop()) };
  }

  async lengths(queues?: readonly string[]): Promise<QueueLength[]> {
    await this.connect();
    return this.#inspection.lengths(queues);
  }

  async purge(queue: string): Promise<number> {
    await this.connect();
    return this.#inspection.purge(queue);
  }

  async deleteQueue(queue: string): Promise<void> {
    await this.connect();
    this.#declared.delete(queue);
    await this.#inspection.deleteQueue(queue);
  }

  async deadLetters(queue: string, limit: number): Promise<DeadLetter[]> {
    await this.connect();
    return this.#inspection.deadLetters(queue, limit);
  }

  async requeueDead(letters: readonly DeadLetter[]): Promise<number> {
    await this.connect();
    await this.declare([...new Set(letters.map(({ queue }) => queue))]);
    return await this.#inspection.requeueDead(letters);
  }

  async dropDead(letters: readonly DeadLetter[]): Promise<number> {
    await this.connect();
    return await this.#inspection.dropDead(letters);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#receivers].map((receiver) => receiver[Symbol.asyncDispose]()));
    await Promise.all([this.#subscriber.close(), this.#commands.close(), this.#publishing.close()]);
  }

  /** A server that was started again may have lost what was declared. */
  #declareAgain(): void {
    const queues = [...this.#declared];
    this.#declared.clear();
    for (const queue of queues) this.#declareOnce(queue).catch(() => {});
  }

  /** Declares a queue as Celery does: bound to the exchange of its own name. */
  async #declareOnce(queue: string): Promise<void> {
    if (this.#declared.has(queue)) return;
    this.#declared.add(queue);
    try {
      await this.bind(queue, queue, queue);
    } catch (error) {
      this.#declared.delete(queue);
      throw error;
    }
  }
}

/** The commands that push `[key, text, ...]`, in order. */
function* pushes(list: string[]): Generator<string[]> {
  let command = [list[0]];
  let length = 0;
  for (let i = 1; i < list.length; i++) {
    if (command.length > BATCH.messages || (length > 0 && length + list[i].length > BATCH.length)) {
      yield command;
      command = [list[0]];
      length = 0;
    }
    command.push(list[i]);
    length += list[i].length;
  }
  yield command;
}
