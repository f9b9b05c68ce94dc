/**
 * Dead letters on RabbitMQ: a queue beside each queue, whose messages are what they were and say why they are there. A
 * queue can't be looked into: its messages are taken out and put back.
 */
import { createHash } from "node:crypto";
import type { Channel, ConsumeMessage } from "amqplib";
import { isRecord, parseEnvelope } from "../../protocol/envelope.ts";
import type { DeadLetter } from "../transport.ts";
import { incoming, isBrokersOwn, type Outgoing, outgoingAgain } from "./message.ts";

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
  if (limit <= 0) return newest;
  await readAll(channel, queue, count, (message) => {
    newest.push(letterOf(message, queue));
    if (newest.length > limit + AHEAD) newest.splice(0, newest.length - limit);
  });
  return newest.reverse().slice(0, limit);
}

/**
 * Takes some letters out of a queue that holds `count`, once `keep` has put them elsewhere; the channel must be closed
 * afterwards, which puts the others back. Tells how many were there.
 */
export async function takeLetters(
  channel: Channel,
  queue: string,
  count: number,
  letters: readonly DeadLetter[],
  keep: (messages: readonly ConsumeMessage[]) => Promise<void>,
): Promise<number> {
  const wanted = letters.map(({ tag }) => tag);
  const taken: ConsumeMessage[] = [];
  await readAll(channel, queue, count, (message) => {
    const index = wanted.indexOf(tagOf(message));
    if (index < 0) return;
    wanted.splice(index, 1);
    taken.push(message);
  });
  await keep(taken);
  for (const message of taken) channel.ack(message);
  return taken.length;
}

/** Hands over the letters of a queue that holds `count`, the oldest first. All stay unacknowledged. */
async function readAll(
  channel: Channel,
  queue: string,
  count: number,
  read: (message: ConsumeMessage) => void,
): Promise<void> {
  if (count === 0) return;
  let left = count;
  // Those read come no second time.
  await channel.prefetch(0);
  await new Promise<void>((resolve, reject) => {
    const end = () => reject(new Error("the channel was closed"));
    channel.once("close", end);
    const next = (message: ConsumeMessage | null) => {
      if (message !== null) read(message);
      if (message !== null && --left > 0) return;
      channel.off("close", end);
      resolve();
    };
    channel.consume(deadQueue(queue), next).catch(reject);
  });
}

/** A letter has no name: it is known by what it holds. */
function tagOf({ content, properties }: ConsumeMessage): string {
  const hash = createHash("sha1").update(content);
  const { celeriac_reason: reason, celeriac_dead_at: at, id } = properties.headers ?? {};
  return hash.update(JSON.stringify([reason, at, id, properties.correlationId])).digest("hex");
}

/** The message of a letter as it goes back to its queue: without what was said of it when it died, or was restored. */
export function revivedMessage({ content, properties }: ConsumeMessage, queue: string): Outgoing {
  const {
    celeriac_reason: _reason,
    celeriac_dead_at: _at,
    celeriac_address: _address,
    celeriac_deliveries: _deliveries,
    redelivered: _redelivered,
    ...headers
  } = properties.headers ?? {};
  for (const name in headers) if (isBrokersOwn(name)) delete headers[name];
  const {
    contentType,
    contentEncoding,
    deliveryMode,
    priority,
    correlationId,
    replyTo,
    messageId,
    type,
    appId,
  } = properties;
  return {
    exchange: "",
    routingKey: queue,
    content,
    options: {
      mandatory: true,
      headers,
      contentType,
      contentEncoding,
      deliveryMode,
      priority,
      correlationId,
      replyTo,
      messageId,
      type,
      appId,
    },
  };
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
    tag: tagOf(message),
    queue,
    reason: typeof reason === "string" ? reason : "",
    at: typeof at === "number" ? at : 0,
    body: typeof read === "string" ? new Uint8Array(message.content) : new TextEncoder().encode(read.text),
  };
}
