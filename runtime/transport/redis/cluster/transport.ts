/**
 * Publish and receive on a Redis Cluster. A script reaches one hash slot there, so each queue is a small Redis of its own:
 * all its keys begin with `{QUEUE}.`, and a transport of its own follows the node that has them. What concerns all queues,
 * which ones there are and what is bound to which exchange, begins with `{celeriac}.`.
 */
import { encodeEnvelope } from "../../../protocol/envelope.ts";
import type { WireMessage } from "../../../protocol/wire_message.ts";
import { redisTransport } from "../../redis.ts";
import type {
  DeadLetter,
  Delivery,
  QueueLength,
  Receiver,
  ReceiverOptions,
  Transport,
  TransportOptions,
} from "../../transport.ts";
import type { RevokedIds } from "../../revoked_ids.ts";
import { BadUrlError } from "../../url.ts";
import { bindingMember, RedisKeys, separator, stepOf } from "../keys.ts";
import { readRedisUrl, type RedisPlace } from "../place.ts";
import { nameOfTag, tagsOf } from "../tags.ts";
import { ClusterNodes } from "./nodes.ts";
import { placeOf, SHARED } from "./place_of.ts";
import { ClusterReceiver } from "./receiver.ts";
import type { ClusterTopology } from "./topology.ts";

/** Messages that one command publishes, and their length in characters, at most. */
const BATCH = { messages: 1_000, length: 4 * 1024 * 1024 };

/**
 * The transport of a cluster. Nothing is opened before it is needed.
 * @param url As `../seeds.ts` reads it.
 * @throws {BadUrlError}
 */
export function openClusterTransport(url: string, options: TransportOptions): Transport {
  const place = readRedisUrl(url);
  if (place.cluster === undefined) throw new BadUrlError(`"${place.name}" is no cluster`);
  return new RedisClusterTransport(place, place.cluster, options);
}

class RedisClusterTransport implements Transport {
  readonly name: string;
  readonly urgentPriority = 0;
  readonly revoked: RevokedIds;
  readonly #place: RedisPlace;
  readonly #options: TransportOptions;
  readonly #nodes: ClusterNodes;
  /** Of what concerns all queues. */
  readonly #shared: Transport;
  readonly #sharedKeys: RedisKeys;
  readonly #receivers = new Set<Receiver>();
  /** Queues that this process has declared, so that it does so once. */
  readonly #declared = new Map<string, Promise<void>>();

  constructor(place: RedisPlace, topology: ClusterTopology, options: TransportOptions) {
    this.name = place.name;
    this.#place = place;
    this.#options = options;
    this.#nodes = new ClusterNodes(place, topology, options);
    const shared = placeOf(place, SHARED);
    this.#shared = redisTransport(shared, options);
    this.revoked = this.#shared.revoked!;
    this.#sharedKeys = new RedisKeys(shared.keyPrefix, 0);
  }

  async connect(signal?: AbortSignal): Promise<void> {
    await Promise.all([this.#nodes.connect(signal), this.#shared.connect(signal)]);
  }

  async declare(queues: readonly string[]): Promise<void> {
    await Promise.all(queues.map((queue) => this.#declareOnce(queue)));
  }

  async publish(messages: readonly WireMessage[]): Promise<void> {
    if (messages.length === 0) return;
    const lists = new Map<string, string[]>();
    for (const message of messages) {
      const text = encodeEnvelope(message);
      for (const queue of await this.#queuesOf(message)) {
        const key = this.#keysOf(queue).list(queue, stepOf(message.priority));
        const list = lists.get(key);
        if (list === undefined) lists.set(key, [text]);
        else list.push(text);
      }
    }
    await this.#nodes.call((call) =>
      Promise.all([...lists].map(async ([key, texts]) => {
        for (const part of inParts(texts)) await call.send(key, "lpush", [key, ...part]);
      }))
    );
  }

  bind(exchange: string, routingKey: string, queue: string): Promise<void> {
    return this.#shared.bind(exchange, routingKey, queue);
  }

  async receive(options: ReceiverOptions): Promise<Receiver> {
    await this.declare(options.queues);
    const transports: Transport[] = [];
    const close = async () => {
      await Promise.all(transports.map((transport) => transport[Symbol.asyncDispose]()));
    };
    try {
      const receiver: ClusterReceiver = await ClusterReceiver.open(options.queues, options.events, {
        open: (queue, events) => {
          const transport = this.#transportOf(queue);
          transports.push(transport);
          return transport.receive({ queues: [queue], worker: options.worker, events });
        },
        publish: (messages) => this.publish(messages),
        stillHeld: (deliveries) => this.#stillHeld(deliveries, tagsOf(options.worker)),
        closed: () => {
          this.#receivers.delete(receiver);
          return close();
        },
      });
      this.#receivers.add(receiver);
      return receiver;
    } catch (error) {
      await close();
      throw error;
    }
  }

  /** The nodes pass on what is sent to a channel to all who listen anywhere. */
  broadcast(exchange: string, message: WireMessage): Promise<void> {
    return this.#shared.broadcast(exchange, message);
  }

  listen(exchange: string, listener: (text: string) => void): Promise<AsyncDisposable> {
    return this.#shared.listen(exchange, listener);
  }

  async lengths(queues?: readonly string[]): Promise<QueueLength[]> {
    const names = queues ?? (await this.#shared.lengths()).map(({ queue }) => queue);
    const found = names.map((queue) => this.#with(queue, (transport) => transport.lengths([queue])));
    return (await Promise.all(found)).flat();
  }

  purge(queue: string): Promise<number> {
    return this.#with(queue, (transport) => transport.purge(queue));
  }

  async deleteQueue(queue: string): Promise<void> {
    this.#declared.delete(queue);
    await Promise.all([
      this.#with(queue, (transport) => transport.deleteQueue(queue)),
      this.#shared.deleteQueue(queue),
    ]);
  }

  deadLetters(queue: string, limit: number): Promise<DeadLetter[]> {
    return this.#with(queue, (transport) => transport.deadLetters(queue, limit));
  }

  requeueDead(letters: readonly DeadLetter[]): Promise<number> {
    return this.#eachQueue(letters, (transport, own) => transport.requeueDead(own));
  }

  dropDead(letters: readonly DeadLetter[]): Promise<number> {
    return this.#eachQueue(letters, (transport, own) => transport.dropDead(own));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#receivers].map((receiver) => receiver[Symbol.asyncDispose]()));
    await Promise.all([this.#nodes.close(), this.#shared[Symbol.asyncDispose]()]);
  }

  #keysOf(queue: string): RedisKeys {
    return new RedisKeys(placeOf(this.#place, queue).keyPrefix, 0);
  }

  #transportOf(queue: string): Transport {
    return redisTransport(placeOf(this.#place, queue), this.#options);
  }

  async #stillHeld(deliveries: readonly Delivery[], mine: string): Promise<ReadonlySet<Delivery>> {
    const scores = await this.#nodes.call((call) =>
      Promise.all(deliveries.map(({ queue, tag }) => {
        const key = this.#keysOf(queue).index;
        return call.send(key, "zscore", [key, nameOfTag(mine, tag as number)]);
      }))
    );
    return new Set(deliveries.filter((_, i) => scores[i] !== null));
  }

  async #eachQueue(
    letters: readonly DeadLetter[],
    move: (transport: Transport, own: readonly DeadLetter[]) => Promise<number>,
  ): Promise<number> {
    const queues = [...new Set(letters.map(({ queue }) => queue))];
    const moved = await Promise.all(
      queues.map((queue) =>
        this.#with(queue, (transport) => move(transport, letters.filter((letter) => letter.queue === queue)))
      ),
    );
    return moved.reduce((sum, count) => sum + count, 0);
  }

  /** For what is asked of a queue now and then, over a connection that lasts as long. */
  async #with<T>(queue: string, use: (transport: Transport) => Promise<T>): Promise<T> {
    const transport = this.#transportOf(queue);
    try {
      return await use(transport);
    } finally {
      await transport[Symbol.asyncDispose]();
    }
  }

  /** The queues that a message goes to; a queue that it names is declared on the way. */
  async #queuesOf({ exchange, routingKey }: WireMessage): Promise<string[]> {
    if (exchange === "") {
      await this.#declareOnce(routingKey);
      return [routingKey];
    }
    const key = this.#sharedKeys.bindings(exchange);
    const members = await this.#nodes.call((call) => call.send(key, "smembers", [key])) as string[];
    const queues = members.map((member) => member.slice(member.lastIndexOf(separator) + separator.length));
    return [...new Set(queues.filter((queue) => members.includes(bindingMember(routingKey, queue))))];
  }

  #declareOnce(queue: string): Promise<void> {
    let declared = this.#declared.get(queue);
    if (declared === undefined) {
      declared = this.bind(queue, queue, queue);
      this.#declared.set(queue, declared);
      declared.catch(() => this.#declared.delete(queue));
    }
    return declared;
  }
}

function* inParts(texts: readonly string[]): Generator<string[]> {
  let part: string[] = [];
  let length = 0;
  for (const text of texts) {
    if (part.length === BATCH.messages || (length > 0 && length + text.length > BATCH.length)) {
      yield part;
      part = [];
      length = 0;
    }
    part.push(text);
    length += text.length;
  }
  if (part.length > 0) yield part;
}
