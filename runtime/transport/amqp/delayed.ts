/**
 * Delayed messages, held by the broker: Celery's native delayed delivery, which Python's clients and workers share. On
 * **settle**, what is not due yet goes through queues that each hold it for a power of two of seconds, or let it pass.
 * All of it is made when it is first needed.
 */
import type { Channel } from "amqplib";
import type { AmqpConnection } from "./connection.ts";
import { exists } from "./topology.ts";

/** Powers of two: from one second up to four years, eight and a half together. */
const LEVELS = 28;
const DELIVERY = "celery_delayed_delivery";
const FIRST = `celery_delayed_${LEVELS - 1}`;
const LONGEST = 2 ** LEVELS - 1;

export class DelayedDelivery {
  readonly #connection: AmqpConnection;
  /** Of the queues that hold what is delayed. */
  readonly #type: "classic" | "quorum";
  #made: Promise<void> | undefined;
  #bound = new Map<string, Promise<void>>();

  /** `type` as Celery's setting `broker_native_delayed_delivery_queue_type`, for a broker that has no such queues yet. */
  constructor(connection: AmqpConnection, type: "classic" | "quorum") {
    this.#connection = connection;
    this.#type = type;
    connection.watch({
      gone: () => {
        this.#made = undefined;
        this.#bound = new Map();
      },
    });
  }

  /**
   * Where to publish what is to be in `queue` after `ms` milliseconds. The way there is made or checked first: what is
   * delayed for a queue that it does not lead to would be gone when it is due, without a word.
   * @throws {BrokerUnavailableError}
   */
  async route(queue: string, ms: number): Promise<{ exchange: string; routingKey: string }> {
    let bound = this.#bound.get(queue);
    if (bound === undefined) {
      bound = this.#bind(queue);
      this.#bound.set(queue, bound);
      bound.catch(() => this.#bound.delete(queue));
    }
    await bound;
    const seconds = Math.min(Math.max(1, Math.ceil(ms / 1000)), LONGEST);
    const bits = seconds.toString(2).padStart(LEVELS, "0").split("").join(".");
    return { exchange: FIRST, routingKey: `${bits}.${queue}` };
  }

  async #bind(queue: string): Promise<void> {
    this.#made ??= this.#make();
    try {
      await this.#made;
    } catch (error) {
      this.#made = undefined;
      throw error;
    }
    await this.#connection.once((channel) => channel.bindQueue(queue, DELIVERY, `#.${queue}`));
  }

  async #make(): Promise<void> {
    // Made last, so what comes before is there too.
    if (await exists(this.#connection, (channel) => channel.checkExchange(DELIVERY))) return;
    await this.#connection.once(async (channel) => {
      for (let level = LEVELS - 1; level >= 0; level--) await this.#makeLevel(channel, level);
      for (let level = LEVELS - 1; level > 0; level--) {
        await channel.bindExchange(nameOf(level - 1), nameOf(level), `${skip(level)}0.#`);
      }
      await channel.assertExchange(DELIVERY, "topic", { durable: true });
      await channel.bindExchange(DELIVERY, nameOf(0), `${skip(0)}0.#`);
    });
  }

  async #makeLevel(channel: Channel, level: number): Promise<void> {
    const name = nameOf(level);
    await channel.assertExchange(name, "topic", { durable: true });
    // Made half way by somebody else, perhaps with another type.
    if (!await exists(this.#connection, (own) => own.checkQueue(name))) {
      await channel.assertQueue(name, {
        durable: true,
        arguments: {
          "x-queue-type": this.#type,
          "x-overflow": "reject-publish",
          "x-message-ttl": 2 ** level * 1000,
          "x-dead-letter-exchange": level > 0 ? nameOf(level - 1) : DELIVERY,
          ...(this.#type === "quorum" && { "x-dead-letter-strategy": "at-least-once" }),
        },
      });
    }
    await channel.bindQueue(name, name, `${skip(level)}1.#`);
  }
}

function nameOf(level: number): string {
  return `celery_delayed_${level}`;
}

/** The bits before that of a level. */
function skip(level: number): string {
  return "*.".repeat(LEVELS - 1 - level);
}
