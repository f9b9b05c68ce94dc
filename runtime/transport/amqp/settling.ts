/**
 * Settle, where it takes a message: what follows a task, its result, and whatever goes on to another queue (delayed,
 * restored, dead) is published and confirmed first, and only then is the delivery acknowledged. While the broker takes
 * no messages this waits, and nothing else with it.
 */
import { Buffer } from "node:buffer";
import { type Clock, sleep } from "../../clock.ts";
import { markRestored } from "../../protocol/envelope.ts";
import { isReady } from "../../protocol/result_meta.ts";
import { secondCopy, type WireMessage } from "../../protocol/wire_message.ts";
import type { StoredResult } from "../../results/result_store.ts";
import { BrokerUnavailableError, type ReceiverEvents, type Settlement } from "../transport.ts";
import type { DelayedDelivery } from "./delayed.ts";
import { deadLetter, deadQueue } from "./dead_letters.ts";
import { type Outgoing, outgoing, outgoingAgain, outgoingBytes } from "./message.ts";
import type { AmqpPublisher } from "./publisher.ts";
import type { Held, Refused } from "./stream.ts";
import type { Topology } from "./topology.ts";

/** One delivery on its way out. */
export interface Settling {
  readonly settlement: Settlement;
  readonly held: Held;
}

export interface SettlingContext {
  readonly publisher: AmqpPublisher;
  readonly topology: Topology;
  readonly delayed: DelayedDelivery;
  readonly clock: Clock;
  readonly maxDeliveries: number;
  readonly events: ReceiverEvents;
  /** The message that brings a result to its caller, where results go over this broker. */
  readonly reply?: (result: StoredResult, replyTo: string | undefined) => Outgoing | undefined;
}

const RETRY = 100;

/** Publishes for a receiver. */
export class SettlingMessages {
  readonly #context: SettlingContext;

  constructor(context: SettlingContext) {
    this.#context = context;
  }

  /** Whether a settlement is no more than an acknowledgement, or a message given back. */
  isPlain({ settlement, held }: Settling): boolean {
    const { outcome, follow, result } = settlement;
    if (follow !== undefined && follow.length > 0) return false;
    if (result !== undefined && held.replyTo !== undefined && this.#context.reply !== undefined) return false;
    return outcome === "ack" || outcome === "return" && !held.stream.counted;
  }

  /**
   * Publishes what these settlements need. Tries again while the broker is away, and leaves out what was lost meanwhile.
   * @throws The signal's reason, when the receiver closes before.
   */
  async publish(settling: readonly Settling[], isHeld: (held: Held) => boolean, signal: AbortSignal) {
    for (let first = true;; first = false) {
      const left = settling.filter(({ held }) => isHeld(held));
      try {
        await this.#try(left, first);
        return left;
      } catch (error) {
        if (!(error instanceof BrokerUnavailableError)) throw error;
        await sleep(this.#context.clock, RETRY, signal);
      }
    }
  }

  /** Keeps messages that nobody is to see. @throws {BrokerUnavailableError} */
  async bury(refused: readonly Refused[]): Promise<void> {
    const at = this.#context.clock.now();
    const letters = refused.map(({ stream: { queue }, reason, text, content }) => {
      if (text !== undefined) return deadLetter(text, queue, reason, at);
      const headers = { celeriac_reason: reason, celeriac_dead_at: at };
      return outgoingBytes(Buffer.from(content), { routingKey: deadQueue(queue), headers });
    });
    for (const { stream } of refused) await this.#declareDead(stream.queue);
    await this.#send(letters);
  }

  async #try(settling: readonly Settling[], first: boolean): Promise<void> {
    const messages: Outgoing[] = [];
    for (const { settlement, held } of settling) {
      const { result, follow } = settlement;
      const reply = result && this.#context.reply?.(result, held.replyTo);
      // A state that is not final must not come after what becomes of the message that follows.
      const isFirst = result !== undefined && !isReady(result.state);
      if (reply !== undefined && isFirst) messages.push(reply);
      if (follow !== undefined) {
        for (const message of follow) messages.push(await this.#follow(message, first));
      }
      if (reply !== undefined && !isFirst) messages.push(reply);
      const moved = settlement.outcome === "ack" ? undefined : await this.#moved(settlement, held);
      if (moved !== undefined) messages.push(moved);
    }
    await this.#send(messages);
  }

  async #follow(message: WireMessage, first: boolean): Promise<Outgoing> {
    if (message.exchange === "") await this.#context.topology.queue(message.routingKey);
    else await this.#context.topology.exchange(message.exchange, "direct");
    return outgoing(first ? message : secondCopy(message), true);
  }

  /** The copy of a message that goes to another queue, or to the end of its own. */
  async #moved({ outcome, due, reason }: Settlement, held: Held): Promise<Outgoing | undefined> {
    const { queue, text, deliveries } = held;
    const { clock, delayed, events, maxDeliveries } = this.#context;
    switch (outcome) {
      case "delay": {
        const route = await delayed.route(queue, (due ?? 0) - clock.now());
        return unmarked(text, deliveries, route);
      }
      case "return":
        return held.stream.counted ? unmarked(text, deliveries, { routingKey: queue }) : undefined;
      case "again":
        return restored(text, deliveries, 0, queue);
      case "restore": {
        if (deliveries < maxDeliveries) return restored(text, deliveries, 1, queue);
        const why = `restored ${deliveries} times and never settled`;
        await this.#declareDead(queue);
        events.dead(queue, why, { text, replyTo: held.replyTo });
        return deadLetter(text, queue, why, clock.now());
      }
      case "dead":
        await this.#declareDead(queue);
        return deadLetter(text, queue, reason ?? "", clock.now());
      default:
        return undefined;
    }
  }

  #declareDead(queue: string): Promise<void> {
    return this.#context.topology.queue(deadQueue(queue));
  }

  /** Publishes; what no queue takes once more, after its queue was declared anew. */
  async #send(messages: readonly Outgoing[]): Promise<void> {
    const failures = await this.#context.publisher.publish(messages);
    if (failures.size === 0) return;
    const again = [...failures.keys()].map((index) => messages[index]);
    for (const { exchange, routingKey } of again) {
      if (exchange !== "") continue;
      this.#context.topology.forget(routingKey);
      await this.#context.topology.queue(routingKey);
    }
    for (const error of (await this.#context.publisher.publish(again)).values()) {
      this.#context.events.trouble(`a message that follows a task is lost: ${error.message}`);
    }
  }
}

/** The same message: a mark that RabbitMQ made, not its sender, stays behind. */
function unmarked(
  text: string,
  deliveries: number,
  route: { exchange?: string; routingKey: string },
): Outgoing {
  const headers = deliveries === 0 ? { redelivered: undefined } : {};
  return outgoingAgain(text, { ...route, headers });
}

/** The same message, marked, and counted `by` so much. */
function restored(text: string, deliveries: number, by: 0 | 1, routingKey: string): Outgoing {
  const again = outgoingAgain(text, {
    routingKey,
    headers: { redelivered: true, celeriac_deliveries: deliveries + by },
  });
  // A bare message has no headers that a reader would look for.
  return again.options.contentType === undefined && again.content.toString() === text
    ? {
      ...again,
      content: Buffer.from(markRestored(text, by).text),
      options: { ...again.options, headers: {} },
    }
    : again;
}
