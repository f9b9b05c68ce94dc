/**
 * Queues and exchanges, declared as Celery declares them. What exists is taken as it is, whatever its arguments: it is
 * asked for passively first, which needs no permission to declare. On a channel of its own, because a refusal closes it.
 */
import type { Options } from "amqplib";
import type { AmqpConnection } from "./connection.ts";
import type { QueueArguments } from "./place.ts";
import { NO_ACCESS, NOT_FOUND, PRECONDITION_FAILED, replyCode } from "./refusal.ts";

/** Where Celery's workers answer remote control. */
const REPLIES = "reply.celery.pidbox";
/** Exchanges whose type is not what it would be by their use; none of them survives a restart but the events'. */
const KNOWN: Readonly<Record<string, { readonly type: string; readonly durable: boolean }>> = {
  celeryev: { type: "topic", durable: true },
  "celery.pidbox": { type: "fanout", durable: false },
  [REPLIES]: { type: "direct", durable: false },
};

/** Replies to remote control are for the connection that asked, and go with it. */
const REPLY_QUEUE: Options.AssertQueue = { durable: false, exclusive: true, expires: 10_000 };

/** A queue that does not exist and may not be made by this user. */
export class QueueMissingError extends Error {
  override readonly name = "QueueMissingError";
}

export class Topology {
  readonly #connection: AmqpConnection;
  readonly #arguments: QueueArguments;
  #queues = new Map<string, Promise<void>>();
  readonly #declared = new Set<string>();
  #exchanges = new Map<string, Promise<boolean>>();

  constructor(connection: AmqpConnection, queues: QueueArguments) {
    this.#connection = connection;
    this.#arguments = queues;
    // Another server, or the same with less in it.
    connection.watch({ gone: () => this.forgetAll() });
  }

  /** Whether a queue was found or made by this process, on this connection. */
  isDeclared(queue: string): boolean {
    return this.#declared.has(queue);
  }

  /** What it has found or made. */
  get queues(): string[] {
    return [...this.#queues.keys()];
  }

  /** Makes sure that a queue exists. @throws {QueueMissingError} @throws {BrokerUnavailableError} */
  queue(name: string, options?: Options.AssertQueue): Promise<void> {
    let declared = this.#queues.get(name);
    if (declared === undefined) {
      declared = this.#declare(name, options);
      this.#queues.set(name, declared);
      declared.then(() => this.#declared.add(name), () => this.#queues.delete(name));
    }
    return declared;
  }

  /**
   * Makes sure that a client's queue of results exists; it goes after `expires` seconds without a reader. Where queues are
   * to outlast the loss of a node, so is this one.
   */
  replyQueue(name: string, expires: number): Promise<void> {
    const { type } = this.#arguments;
    return this.queue(name, {
      durable: true,
      expires: expires * 1000,
      ...(type === "quorum" && { arguments: { "x-queue-type": type } }),
    });
  }

  /** Makes sure that an exchange exists, of the type that it has in Celery, else of `type`. */
  async exchange(name: string, type: string): Promise<void> {
    if (await this.knows(name)) return;
    const known = KNOWN[name] ?? { type, durable: true };
    try {
      await this.#connection.once((channel) =>
        channel.assertExchange(name, known.type, { durable: known.durable })
      );
    } catch (error) {
      // Somebody else was faster, with another type.
      if (replyCode(error) !== PRECONDITION_FAILED) throw error;
    }
    this.#exchanges.set(name, Promise.resolve(true));
  }

  /** Whether an exchange exists. */
  async knows(name: string): Promise<boolean> {
    let known = this.#exchanges.get(name);
    if (known === undefined) {
      known = exists(this.#connection, (channel) => channel.checkExchange(name));
      this.#exchanges.set(name, known);
    }
    const found = await known.catch((error) => {
      this.#exchanges.delete(name);
      throw error;
    });
    // It may be made at any time.
    if (!found) this.#exchanges.delete(name);
    return found;
  }

  /** Binds a queue, which is made where it is missing, to an exchange. */
  async bind(exchange: string, routingKey: string, queue: string): Promise<void> {
    await this.exchange(exchange, "direct");
    await this.queue(queue, exchange === REPLIES ? REPLY_QUEUE : undefined);
    await this.#connection.once((channel) => channel.bindQueue(queue, exchange, routingKey));
  }

  forget(queue: string): void {
    this.#declared.delete(queue);
    this.#queues.delete(queue);
  }

  forgetAll(): void {
    this.#declared.clear();
    this.#queues = new Map();
    this.#exchanges = new Map();
  }

  /** Without `options` it is a queue of tasks, as Celery declares it: bound to an exchange of its own name. */
  async #declare(name: string, options?: Options.AssertQueue): Promise<void> {
    if (await exists(this.#connection, (channel) => channel.checkQueue(name))) return;
    try {
      await this.#connection.once(async (channel) => {
        await channel.assertQueue(name, options ?? { arguments: argumentsOf(this.#arguments) });
        if (options !== undefined) return;
        // As Celery's documentation has it for quorum queues, whose delayed messages need it.
        const type = this.#arguments.type === "quorum" ? "topic" : "direct";
        await channel.assertExchange(name, type, { durable: true });
        await channel.bindQueue(name, name, name);
      });
    } catch (error) {
      const code = replyCode(error);
      // The queue is there, made by somebody else meanwhile, or its exchange is of another kind.
      if (code === PRECONDITION_FAILED) return;
      if (code === NO_ACCESS && await exists(this.#connection, (channel) => channel.checkQueue(name))) return;
      if (code === undefined) throw error;
      throw new QueueMissingError(
        `${this.#connection.place.name}: there is no queue "${name}", and it can't be declared: ` +
          `${(error as Error).message}. Declare it, or let this user configure it.`,
        { cause: error },
      );
    }
  }
}

/** Whether something that is asked for passively exists. */
export async function exists(
  connection: AmqpConnection,
  ask: Parameters<AmqpConnection["once"]>[0],
): Promise<boolean> {
  try {
    await connection.once(ask);
    return true;
  } catch (error) {
    if (replyCode(error) === NOT_FOUND) return false;
    throw error;
  }
}

function argumentsOf({ type, maxPriority, deadLetterExchange, deadLetterRoutingKey }: QueueArguments) {
  return {
    ...(type !== undefined && { "x-queue-type": type }),
    ...(maxPriority !== undefined && { "x-max-priority": maxPriority }),
    ...(deadLetterExchange !== undefined && { "x-dead-letter-exchange": deadLetterExchange }),
    ...(deadLetterRoutingKey !== undefined && { "x-dead-letter-routing-key": deadLetterRoutingKey }),
  };
}
