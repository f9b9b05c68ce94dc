/**
 * The channels through which a receiver gets its messages (**receive**): one open for each of its queues, opened when it is
 * first needed, and anew when it is gone or a message has been at work on it for long. That one then keeps its channel to
 * itself until it is settled: RabbitMQ closes a channel on which a message is unacknowledged for too long (30 minutes by
 * default), and hands all of its messages out again.
 */
import type { TransportOptions } from "../transport.ts";
import type { AmqpConnection } from "./connection.ts";
import { QueueStream, type Refused } from "./stream.ts";
import type { Topology } from "./topology.ts";

/** Milliseconds: what is at work for longer has its channel to itself. */
const LONG = 60_000;

/** What the channels of a receiver are opened with. */
export interface StreamsContext {
  readonly connection: AmqpConnection;
  readonly topology: Topology;
  readonly options: TransportOptions;
  /** Aborts when the receiver is closed: then none is opened any more. */
  readonly closing: AbortSignal;
}

/** Hears of them. */
export interface StreamsListener {
  /** A number that no message of this receiver has had. */
  freshTag(): number;
  /** There is something to take, or a queue needs another channel. */
  changed(): void;
  /** A message can't be handed out. */
  refused(refused: Refused): void;
  /** A channel gets no more messages, but still holds some: what was sent ahead of time is to go back. */
  retired(stream: QueueStream): void;
  /** A channel is gone, and all that came through it is the broker's again. */
  ended(stream: QueueStream, why: string | undefined): void;
}

export class QueueStreams {
  readonly #queues: readonly string[];
  readonly #context: StreamsContext;
  readonly #listener: StreamsListener;
  readonly #opening = new Map<string, Promise<QueueStream>>();
  readonly #open = new Map<string, QueueStream>();
  /** Channels with messages that have been at work for long, or whose queue is gone. */
  readonly #retired = new Set<QueueStream>();

  constructor(queues: readonly string[], context: StreamsContext, listener: StreamsListener) {
    this.#queues = queues;
    this.#context = context;
    this.#listener = listener;
  }

  /** Those that are open now. */
  open(): QueueStream[] {
    return [...this.#open.values()];
  }

  /** That of a queue, if it is open now. */
  of(queue: string): QueueStream | undefined {
    return this.#open.get(queue);
  }

  /** One for each queue. @throws When one can't be opened. */
  all(): Promise<QueueStream[]> {
    return Promise.all(this.#queues.map((queue) => this.#stream(queue)));
  }

  /** Messages of it were settled: a retired one that holds none any more is closed. */
  settled(stream: QueueStream): void {
    if (stream.held.size > 0 || !this.#retired.delete(stream)) return;
    void stream.close();
  }

  /** Closes all of them; what is unsettled goes back to its queue. */
  async close(): Promise<void> {
    await Promise.all([...this.#open.values(), ...this.#retired].map((stream) => stream.close()));
  }

  #stream(queue: string): Promise<QueueStream> | QueueStream {
    const open = this.#open.get(queue);
    if (open !== undefined && open.age < LONG) return open;
    if (open !== undefined) this.#retire(open);
    let opening = this.#opening.get(queue);
    if (opening === undefined) {
      opening = this.#openStream(queue).finally(() => this.#opening.delete(queue));
      this.#opening.set(queue, opening);
    }
    return opening;
  }

  async #openStream(queue: string): Promise<QueueStream> {
    const { connection, topology, options, closing } = this.#context;
    if (!connection.ready) await connection.connect();
    await topology.queue(queue);
    const stream = new QueueStream(queue, await connection.channel(), {
      clock: options.clock,
      maxMessageBytes: options.maxMessageBytes,
      maxDeliveries: options.maxDeliveries,
      freshTag: () => this.#listener.freshTag(),
      arrived: () => this.#listener.changed(),
      refused: (refused) => this.#listener.refused(refused),
      cancelled: (stream) => this.#cancelled(stream),
      ended: (stream, why) => this.#ended(stream, why),
    });
    if (closing.aborted) {
      await stream.close();
      throw connection.unavailable(closing.reason);
    }
    this.#open.set(queue, stream);
    return stream;
  }

  #retire(stream: QueueStream): void {
    this.#open.delete(stream.queue);
    this.#retired.add(stream);
    this.#listener.retired(stream);
  }

  /** Its queue was deleted, or is on another node now; what it holds can still be settled. */
  #cancelled(stream: QueueStream): void {
    this.#context.topology.forget(stream.queue);
    this.#open.delete(stream.queue);
    this.#retired.add(stream);
    this.#listener.changed();
  }

  #ended(stream: QueueStream, why: string | undefined): void {
    if (this.#open.get(stream.queue) === stream) this.#open.delete(stream.queue);
    this.#retired.delete(stream);
    // It may be the queue that is gone.
    this.#context.topology.forget(stream.queue);
    this.#listener.ended(stream, why);
  }
}
