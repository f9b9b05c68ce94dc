/**
 * Dead letters on RabbitMQ: a queue beside each queue, whose messages are what they were and say why they are there. A
 * queue can't be looked into: its messages are taken out and put back.
 */
import type { Channel, ConsumeMessage } from "amqplib";
import { isRecord, parseEnvelope } from "../../protocol/envelope.ts";
import type { DeadLetter } from "../transport.ts";
import { incoming, type Outgoing, outgoingAgain } from "./message.ts";

/** Where the dead letters of a queue stand. */
export function deadQueue(queue: string): string {
  return `celeriac.dead.${queue}`;
}

/** A message as a dead letter. */
export function deadLetter(text: string, queue: string, reason: string, at: number): Outgoing {
  return outgoingAgain(text, {
    routingKey: deadQueue(queue),
    headers: {
      celeriac_reason: reason,
      celeriac_dead_at: at,
      celeriac_address: addressOf(text),
    },
  });
}

/** Exchange and routing key by which a message came. */
function addressOf(text: string): [string, string] | undefined {
  const { properties } = parseEnvelope(text);
  const info = isRecord(properties) && isRecord(properties.delivery_info)
    ? properties.delivery_info
    : undefined;
  return info === undefined ? undefined : [String(info.exchange), String(info.routing_key)];
}

/** Letters read at a time. */
const AHEAD = 200;

/** The newest letters of a queue that holds `count`; the channel must be closed afterwards, which puts them back. */
export async function newestLetters(
  channel: Channel,
  queue: string,
  count: number,
  limit: number,
): Promise<DeadLetter[]> {
  const newest: DeadLetter[] = [];
  if (count === 0 || limit <= 0) return newest;
  let left = count;
  // All stay unacknowledged: those read come no second time.
  await channel.prefetch(0);
  await new Promise<void>((resolve, reject) => {
    const end = () => reject(new Error("the channel was closed"));
    channel.once("close", end);
    const read = (message: ConsumeMessage | null) => {
      if (message !== null) {
        newest.push(letterOf(message, queue));
        if (newest.length > limit + AHEAD) newest.splice(0, newest.length - limit);
      }
      if (message !== null && --left > 0) return;
      channel.off("close", end);
      resolve();
    };
    channel.consume(deadQueue(queue), read).catch(reject);
  });
  return newest.reverse().slice(0, limit);
}

function letterOf(message: ConsumeMessage, queue: string): DeadLetter {
  const { celeriac_reason: reason, celeriac_dead_at: at, celeriac_address: address, ...headers } =
    message.properties.headers ?? {};
  const [exchange, routingKey] = Array.isArray(address) ? address : ["", queue];
  const original = {
    ...message,
    fields: { ...message.fields, exchange, routingKey },
    properties: { ...message.properties, headers },
  };
  const read = incoming(original, false);
  return {
    queue,
    reason: typeof reason === "string" ? reason : "",
    at: typeof at === "number" ? at : 0,
    body: typeof read === "string" ? new Uint8Array(message.content) : new TextEncoder().encode(read.text),
  };
}
