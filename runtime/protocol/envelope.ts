/**
 * kombu's JSON envelope, in which Redis, SQLite and memory queues carry a message: its body in base64, its headers and
 * its properties. Written when a message is published, opened when it has been received.
 */
import { BadMessageError } from "./bad_message.ts";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { parsePythonJson, stringifyPythonJson } from "./python_json.ts";
import { usualHeaders } from "./usual_headers.ts";
import type { WireMessage } from "./wire_message.ts";

export { BadMessageError } from "./bad_message.ts";
export { deliveriesOf, markRestored } from "./redelivery.ts";

/** A message out of its envelope. */
export interface Envelope {
  readonly headers: Record<string, unknown>;
  readonly properties: Record<string, unknown>;
  /** `""` when the envelope has none. */
  readonly contentType: string;
  readonly contentEncoding: string;
  /** Text when it stood there as text, bytes when it stood there in base64. Still compressed, if it is. */
  readonly body: string | Uint8Array;
}

/** An envelope's fields as they were parsed; every one may be missing or of another type. */
export interface RawEnvelope {
  readonly body?: unknown;
  readonly headers?: unknown;
  readonly properties?: unknown;
  readonly "content-type"?: unknown;
  readonly "content-encoding"?: unknown;
  readonly [key: string]: unknown;
}

let tagPrefix: string | undefined;
let tagCount = 0;

/** A `delivery_tag` that no other message has: Python workers keep what they hold under it. */
function freshTag(): string {
  tagPrefix ??= crypto.randomUUID();
  return `${tagPrefix}-${++tagCount}`;
}

/** What depends on the queue alone, for the default exchange: few queues get nearly all messages. */
const queues = new Map<string, string>();
const MAX_QUEUES = 1000;

function routeText(exchange: string, routingKey: string): string {
  let text = exchange === "" ? queues.get(routingKey) : undefined;
  if (text === undefined) {
    text = `"delivery_info": {"exchange": ${JSON.stringify(exchange)}, "routing_key": ${
      JSON.stringify(routingKey)
    }}`;
    if (queues.size >= MAX_QUEUES) queues.clear();
    if (exchange === "") queues.set(routingKey, text);
  }
  return text;
}

const JSON_CONTENT = `"content-encoding": "utf-8", "content-type": "application/json"`;

function contentText({ contentType, contentEncoding }: WireMessage): string {
  if (contentType === "application/json" && contentEncoding === "utf-8") return JSON_CONTENT;
  return `"content-encoding": ${JSON.stringify(contentEncoding)}, "content-type": ${
    JSON.stringify(contentType)
  }`;
}

/**
 * The envelope's text, as kombu writes it. Joined, it is one piece: added up it would be a tree of its parts until somebody
 * looked into it, and a message that waits in memory would be twenty objects to the collector of garbage.
 * @throws {UnserializableError} For a header that no message can carry.
 */
export function encodeEnvelope(message: WireMessage): string {
  const { correlationId, replyTo } = message;
  return [
    `{"body": "`,
    encodeBase64(message.body),
    `", `,
    contentText(message),
    `, "headers": `,
    usualHeaders(message.headers) ?? stringifyPythonJson(message.headers),
    `, "properties": {`,
    correlationId === undefined ? "" : `"correlation_id": ${JSON.stringify(correlationId)}, `,
    replyTo === undefined ? "" : `"reply_to": ${JSON.stringify(replyTo)}, `,
    `"delivery_mode": ${message.deliveryMode ?? 2}, `,
    routeText(message.exchange, message.routingKey),
    `, "priority": `,
    message.priority,
    `, "body_encoding": "base64", "delivery_tag": "`,
    freshTag(),
    `"}}`,
  ].join("");
}

/**
 * Parses an envelope's text, or a bare message's, without looking into its body. `parse` is {@linkcode parsePlainJson}
 * for speed, where the caller looks himself whether a header needs more care.
 * @throws {BadMessageError} When it is no JSON object.
 */
export function parseEnvelope(text: string, parse = parsePythonJson): RawEnvelope {
  let raw: unknown;
  try {
    raw = parse(text);
  } catch (cause) {
    throw new BadMessageError("not JSON", { detail: (cause as Error).message, cause });
  }
  if (!isRecord(raw)) throw new BadMessageError("not an envelope", { detail: "it is no JSON object" });
  return raw;
}

/** @throws {BadMessageError} When the text is no envelope, or its body is not the base64 it claims to be. */
export function decodeEnvelope(text: string): Envelope {
  const raw = parseEnvelope(text);
  const properties = isRecord(raw.properties) ? raw.properties : {};
  if (typeof raw.body !== "string") {
    throw new BadMessageError("not an envelope", { detail: "it has no body" });
  }
  return {
    headers: isRecord(raw.headers) ? raw.headers : {},
    properties,
    contentType: typeof raw["content-type"] === "string" ? raw["content-type"] : "",
    contentEncoding: typeof raw["content-encoding"] === "string" ? raw["content-encoding"] : "",
    body: properties.body_encoding === "base64" ? bytesOf(raw.body) : raw.body,
  };
}

function bytesOf(body: string): Uint8Array {
  try {
    return decodeBase64(body);
  } catch (cause) {
    throw new BadMessageError("wrong base64", { cause });
  }
}

/** Whether a value is a JSON object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
