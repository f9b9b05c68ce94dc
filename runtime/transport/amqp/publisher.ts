/**
 * Publishes with confirms on a connection of its own: **publish** in a client, and in a worker what follows a task, its
 * result, and whatever goes on to another queue. A batch has one promise; amqplib calls one function for each message.
 */
import type { ConfirmChannel, Message } from "amqplib";
import { BrokerUnavailableError, UnroutableError } from "../transport.ts";
import type { AmqpConnection } from "./connection.ts";
import type { Outgoing } from "./message.ts";

export class AmqpPublisher {
  readonly #connection: AmqpConnection;
  #opening: Promise<ConfirmChannel> | undefined;
  /** Messages that came back because no queue takes them, by their address and id. */
  readonly #returned = new Set<string>();

  constructor(connection: AmqpConnection) {
    this.#connection = connection;
  }

  /**
   * Publishes a batch, in order; resolves when the broker has all of it but those messages, by their index, that could
   * not be sent or, if they are mandatory, that no queue takes.
   * @throws {BrokerUnavailableError} When that is not known.
   */
  async publish(messages: readonly Outgoing[]): Promise<ReadonlyMap<number, Error>> {
    const failures = new Map<number, Error>();
    if (messages.length === 0) return failures;
    const { blocked } = this.#connection;
    if (blocked !== undefined) throw this.#blockedError(blocked);
    const channel = await this.#channel();
    await new Promise<void>((resolve, reject) => {
      // One more than there are, so that it does not end before the last is sent.
      let left = messages.length + 1;
      let failure: Error | undefined;
      const confirmed = (error: Error | null) => {
        if (error !== null) failure ??= error;
        if (--left > 0) return;
        if (failure === undefined) return resolve();
        if (isNack(failure)) this.#leave(channel);
        reject(this.#failure(failure));
      };
      for (let i = 0; i < messages.length; i++) {
        const { exchange, routingKey, content, options } = messages[i];
        try {
          channel.publish(exchange, routingKey, content, options, confirmed);
        } catch (error) {
          // Too large a table of headers, or a value that no table holds, is this message's own fault.
          const own = error instanceof RangeError || error instanceof TypeError;
          if (own) failures.set(i, error);
          confirmed(own ? null : error as Error);
        }
      }
      confirmed(null);
    });
    if (this.#returned.size > 0) this.#addUnroutable(messages, failures);
    return failures;
  }

  #blockedError(reason: string): BrokerUnavailableError {
    return new BrokerUnavailableError(
      `${this.#connection.place.name} takes no messages at the moment: ${reason}`,
    );
  }

  #failure(error: Error): Error {
    if (!isNack(error)) return this.#connection.unavailable(error);
    const why = "it refused a message: its queue is full, or has no leader at the moment";
    return new BrokerUnavailableError(`${this.#connection.place.name}: ${why}`, { cause: error });
  }

  /** A channel that has met a queue without its leader may refuse for ever, though the queue has a new one: seen in 3.10. */
  #leave(channel: ConfirmChannel): void {
    this.#opening = undefined;
    channel.close().catch(() => {});
  }

  #addUnroutable(messages: readonly Outgoing[], failures: Map<number, Error>): void {
    const found: string[] = [];
    for (let i = 0; i < messages.length; i++) {
      const key = keyOf(messages[i]);
      if (!this.#returned.has(key)) continue;
      found.push(key);
      const { exchange, routingKey } = messages[i];
      const what = exchange === ""
        ? `there is no queue "${routingKey}"`
        : `no queue is bound with "${routingKey}"`;
      const where = exchange === "" ? "" : ` to the exchange "${exchange}"`;
      failures.set(i, new UnroutableError(`${this.#connection.place.name}: ${what}${where}`));
    }
    for (const key of found) this.#returned.delete(key);
  }

  async #channel(): Promise<ConfirmChannel> {
    if (!this.#connection.ready) await this.#connection.connect();
    const opening = this.#opening ??= this.#connection.confirmChannel();
    try {
      const channel = await opening;
      if (channel.listenerCount("return") > 0) return channel;
      channel.on("return", (message: Message) => {
        const { exchange, routingKey } = message.fields;
        const { correlationId } = message.properties;
        this.#returned.add(keyOf({ exchange, routingKey, options: { correlationId } }));
      });
      channel.once("close", () => {
        if (this.#opening === opening) this.#opening = undefined;
      });
      return channel;
    } catch (error) {
      if (this.#opening === opening) this.#opening = undefined;
      throw error;
    }
  }
}

function isNack(error: Error): boolean {
  return error.message === "message nacked";
}

function keyOf(
  { exchange, routingKey, options }: Pick<Outgoing, "exchange" | "routingKey" | "options">,
): string {
  return `${exchange}\n${routingKey}\n${options.correlationId ?? ""}`;
}
