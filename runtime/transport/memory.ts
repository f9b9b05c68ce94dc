// deno-lint-ignore-file require-await -- the contract is asynchronous; nothing in a process's own memory waits
/**
 * The transport of `memory:` and `memory:NAME`: queues inside one process, for tests and for programs whose tasks
 * need not outlive them. Publish and receive are steps of {@linkcode MemoryBroker}.
 */
import type { WireMessage } from "../protocol/wire_message.ts";
import { MemoryBroker } from "./memory/broker.ts";
import { MemoryReceiver } from "./memory/receiver.ts";
import { MemoryRevokedIds } from "./memory/revoked_ids.ts";
import type { RevokedIds } from "./revoked_ids.ts";
import type {
  DeadLetter,
  QueueLength,
  Receiver,
  ReceiverOptions,
  Transport,
  TransportOptions,
} from "./transport.ts";

/** Opens the queues that all instances with this URL share in this process. */
export function openMemoryTransport(url: string, options: TransportOptions): Transport {
  return new MemoryTransport(url, options);
}

class MemoryTransport implements Transport {
  readonly name: string;
  readonly urgentPriority = 0;
  readonly revoked: RevokedIds;
  readonly #broker: MemoryBroker;
  readonly #options: TransportOptions;
  readonly #open = new Set<AsyncDisposable>();

  constructor(url: string, options: TransportOptions) {
    this.name = url;
    this.#broker = MemoryBroker.named(url);
    this.#options = options;
    this.revoked = new MemoryRevokedIds(this.#broker.revoked, options.clock);
  }

  async connect(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
  }

  async declare(queues: readonly string[]): Promise<void> {
    for (const queue of queues) this.#broker.declare(queue);
  }

  async publish(messages: readonly WireMessage[]): Promise<void> {
    this.#broker.publish(messages);
  }

  async bind(exchange: string, routingKey: string, queue: string): Promise<void> {
    this.#broker.bind(exchange, routingKey, queue);
  }

  async receive(options: ReceiverOptions): Promise<Receiver> {
    const receiver = new MemoryReceiver(this.#broker, this.#options, options);
    this.#open.add(receiver);
    return receiver;
  }

  async broadcast(exchange: string, message: WireMessage): Promise<void> {
    this.#broker.broadcast(exchange, message);
  }

  async listen(exchange: string, listener: (text: string) => void): Promise<AsyncDisposable> {
    const own = (text: string) => listener(text);
    this.#broker.listen(exchange, own);
    const listening = {
      [Symbol.asyncDispose]: async () => {
        this.#broker.unlisten(exchange, own);
        this.#open.delete(listening);
      },
    };
    this.#open.add(listening);
    return listening;
  }

  async lengths(queues?: readonly string[]): Promise<QueueLength[]> {
    return this.#broker.lengths(queues);
  }

  async purge(queue: string): Promise<number> {
    return this.#broker.purge(queue);
  }

  async deleteQueue(queue: string): Promise<void> {
    this.#broker.delete(queue);
  }

  async deadLetters(queue: string, limit: number): Promise<DeadLetter[]> {
    return this.#broker.deadLetters(queue, limit);
  }

  async requeueDead(letters: readonly DeadLetter[]): Promise<number> {
    return this.#broker.requeueDead(letters);
  }

  async dropDead(letters: readonly DeadLetter[]): Promise<number> {
    return this.#broker.takeDead(letters).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#open].map((open) => open[Symbol.asyncDispose]()));
    this.#open.clear();
  }
}
