/**
 * A message as AMQP carries it: properties, a table of headers and a body. Made of a {@linkcode WireMessage} when it is
 * **published**; put into kombu's envelope, which the isolates read, when it is **received**, and taken out of it again
 * when it goes on to another queue.
 */
import { Buffer } from "node:buffer";
import type { Message, MessageProperties, Options } from "amqplib";
import { isRecord, parseEnvelope } from "../../protocol/envelope.ts";
import { stringifyPythonJson } from "../../protocol/python_json.ts";
import type { WireMessage } from "../../protocol/wire_message.ts";
import { decodeStrictly } from "../strict_text.ts";

/** A message ready to be published. */
export interface Outgoing {
  readonly exchange: string;
  readonly routingKey: string;
  readonly content: Buffer;
  readonly options: Options.Publish;
}

type Table = Record<string, unknown>;

/** Headers that RabbitMQ adds; they are no part of the message. */
const BROKERS_OWN = /^x-(death|first-death-|last-death-|delivery-count$|acquired-count$)/;

/** Whether a header is none of the message's own. */
export function isBrokersOwn(name: string): boolean {
  return BROKERS_OWN.test(name);
}

/** What a message was delayed by: 28 bits of seconds before its routing key. */
const DELAY_PREFIX = /^(?:[01]\.){28}/;

/** The message of a call, as kombu's AMQP transport writes it. One that is `mandatory` comes back if no queue takes it. */
export function outgoing(message: WireMessage, mandatory: boolean): Outgoing {
  const { body } = message;
  return {
    exchange: message.exchange,
    routingKey: message.routingKey,
    content: typeof body === "string" ? Buffer.from(body) : asBuffer(body),
    options: {
      mandatory,
      headers: tableOf(message.headers),
      contentType: message.contentType,
      contentEncoding: message.contentEncoding,
      deliveryMode: message.deliveryMode ?? 2,
      priority: message.priority,
      ...(message.correlationId !== undefined && { correlationId: message.correlationId }),
      ...(message.replyTo !== undefined && { replyTo: message.replyTo }),
    },
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A table of headers that amqplib writes so that py-amqp reads the same: nearly always the headers as they are. */
export function tableOf(headers: Readonly<Table>): Table {
  for (const name in headers) if (!isField(headers[name])) return fieldOf(headers) as Table;
  return headers;
}

/** Whether amqplib writes a value as it should. Integers of two bytes get a letter that py-amqp takes for a text. */
function isField(value: unknown): boolean {
  switch (typeof value) {
    case "number":
      return value >= -0x80 && value < 0x80 && Number.isInteger(value) ||
        (value < -0x8000 || value >= 0x8000) && Math.abs(value) < 2 ** 50;
    case "object":
      if (value === null) return true;
      if (Array.isArray(value)) return value.every(isField);
      if (value instanceof Date || value instanceof Uint8Array) return false;
      for (const name in value) if (name === "!" || !isField((value as Table)[name])) return false;
      return true;
    default:
      return typeof value !== "bigint";
  }
}

function fieldOf(value: unknown): unknown {
  switch (typeof value) {
    case "number":
      if (!Number.isInteger(value) || Math.abs(value) >= 2 ** 63) return { "!": "double", value };
      return { "!": value >= -0x80000000 && value < 0x80000000 ? "int" : "long", value };
    case "bigint":
      return BigInt.asIntN(64, value) === value ? { "!": "long", value } : String(value);
    case "object":
      if (value === null) return null;
      if (Array.isArray(value)) return value.map(fieldOf);
      if (value instanceof Date) return value.toISOString();
      if (value instanceof Uint8Array) return asBuffer(value);
      return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, fieldOf(each)]));
    default:
      return value;
  }
}

/** A message as it was received. */
export interface Incoming {
  /** kombu's envelope, or the body alone of a message that is nothing but a JSON object. */
  readonly text: string;
  /** How often it was restored: by our own count and, in quorum queues, RabbitMQ's. */
  readonly deliveries: number;
  /** RabbitMQ counts its deliveries, as it does in quorum queues only. */
  readonly counted: boolean;
  readonly replyTo: string | undefined;
}

/** What a received message says, or why it can't be read. */
export function incoming(message: Message, redelivered: boolean): Incoming | string {
  const { properties, content, fields } = message;
  const headers: Table = properties.headers ?? {};
  const seen = headers["x-delivery-count"];
  const counted = typeof seen === "number";
  const own = headers.celeriac_deliveries;
  const deliveries = (typeof own === "number" ? own : 0) + (counted ? seen : 0);
  const replyTo = typeof properties.replyTo === "string" && properties.replyTo !== ""
    ? properties.replyTo
    : undefined;
  if (isBare(properties, headers)) {
    const text = decodeStrictly(content);
    if (text === undefined) return "not UTF-8";
    return text.startsWith("{") ? { text, deliveries, counted, replyTo } : "not an envelope";
  }
  if (redelivered || deliveries > 0) headers.redelivered = true;
  if (deliveries > 0) headers.celeriac_deliveries = deliveries;
  return { text: envelopeText(properties, headers, content, fields), deliveries, counted, replyTo };
}

/** A body and nothing that says what it is. */
function isBare(properties: MessageProperties, headers: Table): boolean {
  return properties.contentType === undefined && headers.task === undefined;
}

function envelopeText(
  properties: MessageProperties,
  headers: Table,
  content: Buffer,
  fields: Message["fields"],
): string {
  const { contentType, contentEncoding, correlationId, replyTo } = properties;
  let more = "";
  if (correlationId !== undefined) more = `"correlation_id": ${JSON.stringify(correlationId)}, `;
  if (replyTo !== undefined) more += `"reply_to": ${JSON.stringify(replyTo)}, `;
  return `{"body": "${content.toString("base64")}", "content-encoding": ${quoted(contentEncoding)}, ` +
    `"content-type": ${quoted(contentType)}, "headers": ${headersText(headers)}, "properties": {${more}` +
    `"delivery_mode": ${properties.deliveryMode ?? 1}, "delivery_info": ${routeText(fields)}, ` +
    `"priority": ${properties.priority ?? 0}, "body_encoding": "base64"}}`;
}

function quoted(text: unknown): string {
  if (text === "application/json") return '"application/json"';
  if (text === "utf-8") return '"utf-8"';
  return JSON.stringify(typeof text === "string" ? text : "");
}

function routeText({ exchange, routingKey }: Message["fields"]): string {
  // Of a message that was delayed, as it was before.
  if (exchange.startsWith("celery_delayed_")) {
    return `{"exchange": "", "routing_key": ${JSON.stringify(routingKey.replace(DELAY_PREFIX, ""))}}`;
  }
  return `{"exchange": ${JSON.stringify(exchange)}, "routing_key": ${JSON.stringify(routingKey)}}`;
}

function headersText(headers: Table): string {
  for (const name in headers) {
    if (name.charCodeAt(0) === 0x78 && BROKERS_OWN.test(name)) delete headers[name];
    else if (!isPlain(headers[name])) return stringifyPythonJson(plain(headers));
  }
  return JSON.stringify(headers);
}

/** Whether JSON has the value as it is. */
function isPlain(value: unknown): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object" || value === null) return true;
  if (Array.isArray(value)) return value.every(isPlain);
  if (value instanceof Uint8Array) return false;
  for (const name in value) if (name === "!" || !isPlain((value as Table)[name])) return false;
  return true;
}

/** What amqplib gives for AMQP's own types, as JSON has it. */
function plain(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Uint8Array) return decodeStrictly(value) ?? asBuffer(value).toString("base64");
  const marked = value as { "!"?: unknown; value?: unknown };
  if (marked["!"] === "timestamp") return new Date(Number(marked.value) * 1000).toISOString();
  if (marked["!"] === "decimal") {
    const { digits, places } = marked.value as { digits: number; places: number };
    return digits / 10 ** places;
  }
  const names = Object.entries(value).filter(([name]) => !BROKERS_OWN.test(name));
  return Object.fromEntries(names.map(([name, each]) => [name, plain(each)]));
}

/** What is changed in a message that goes on. */
export interface Change {
  readonly exchange?: string;
  readonly routingKey: string;
  /** Headers to be set; those that are undefined are taken off. */
  readonly headers: Table;
}

/** The message of a delivery's text, to be published again: the same but for what `change` says. */
export function outgoingAgain(text: string, { exchange = "", routingKey, headers }: Change): Outgoing {
  const raw = parseEnvelope(text);
  if (typeof raw.body !== "string") {
    return outgoingBytes(Buffer.from(text), { exchange, routingKey, headers });
  }
  const properties = isRecord(raw.properties) ? raw.properties : {};
  const set: Table = { ...(isRecord(raw.headers) ? raw.headers : {}), ...headers };
  for (const name in set) if (set[name] === undefined) delete set[name];
  const contentType = raw["content-type"], contentEncoding = raw["content-encoding"];
  return {
    exchange,
    routingKey,
    content: Buffer.from(raw.body, "base64"),
    options: {
      mandatory: true,
      headers: tableOf(set),
      ...(typeof contentType === "string" && contentType !== "" && { contentType }),
      ...(typeof contentEncoding === "string" && contentEncoding !== "" && { contentEncoding }),
      deliveryMode: properties.delivery_mode === 1 ? 1 : 2,
      ...(typeof properties.priority === "number" && { priority: properties.priority }),
      ...(typeof properties.correlation_id === "string" && { correlationId: properties.correlation_id }),
      ...(typeof properties.reply_to === "string" && { replyTo: properties.reply_to }),
    },
  };
}

/** A body that says itself what it is, or nothing, to be published again. */
export function outgoingBytes(content: Buffer, { exchange = "", routingKey, headers }: Change): Outgoing {
  const options = { mandatory: true, headers: tableOf(headers), deliveryMode: 2 as unknown as boolean };
  return { exchange, routingKey, content, options };
}
