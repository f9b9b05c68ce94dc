/**
 * Remote control (Celery: pidbox): the questions and orders that are broadcast to all workers, and what each answers.
 * Beside a task's way, over the same transports.
 */
import { BadMessageError } from "./bad_message.ts";
import { decodeEnvelope, isRecord } from "./envelope.ts";
import { stringifyPythonJson } from "./python_json.ts";
import { serializerFor } from "./serializers.ts";
import type { WireMessage } from "./wire_message.ts";

/** The fanout exchange of requests. */
export const CONTROL_EXCHANGE = "celery.pidbox";
/** The direct exchange of replies. */
export const REPLY_EXCHANGE = "reply.celery.pidbox";

export interface ControlRequest {
  /** The command: `ping`, `revoke`, ... */
  readonly method: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  /** The nodes that are meant; null means all. */
  readonly destination?: readonly string[] | null;
  /** Nodes by a pattern of their names. */
  readonly pattern?: string | null;
  readonly matcher?: string | null;
  /** Links replies to the request; without one no reply is wanted. */
  readonly ticket?: string | null;
  readonly replyTo?: { readonly exchange: string; readonly routingKey: string } | null;
  /** Lamport clock of the sender. */
  readonly clock?: number;
  /** Milliseconds since 1970 after which nobody waits for replies; null means never. */
  readonly expires?: number | null;
}

export interface ControlReply {
  /** Node names with what each answered. */
  readonly replies: Readonly<Record<string, unknown>>;
  readonly ticket: string | null;
  readonly clock: number;
}

/** A request for `Transport.broadcast` on {@linkcode CONTROL_EXCHANGE}. */
export function encodeControl(request: ControlRequest): WireMessage {
  const body: Record<string, unknown> = {
    method: request.method,
    arguments: request.arguments,
    destination: request.destination ?? null,
    pattern: request.pattern ?? null,
    matcher: request.matcher ?? null,
  };
  if (request.ticket && request.replyTo) {
    body.ticket = request.ticket;
    body.reply_to = { exchange: request.replyTo.exchange, routing_key: request.replyTo.routingKey };
  }
  return message(CONTROL_EXCHANGE, "", body, 2, {
    clock: request.clock ?? 0,
    expires: request.expires ? request.expires / 1000 : 0,
  });
}

/** Reads a request's envelope. @throws {BadMessageError} */
export function decodeControl(text: string): Required<ControlRequest> {
  const { headers, body } = open(text);
  if (typeof body.method !== "string") throw new BadMessageError("control message has no method");
  const replyTo = isRecord(body.reply_to) ? body.reply_to : undefined;
  return {
    method: body.method,
    arguments: isRecord(body.arguments) ? body.arguments : {},
    destination: namesOf(body.destination),
    pattern: textOrNull(body.pattern),
    matcher: textOrNull(body.matcher),
    ticket: textOrNull(body.ticket),
    replyTo: replyTo === undefined
      ? null
      : { exchange: String(replyTo.exchange ?? ""), routingKey: String(replyTo.routing_key ?? "") },
    clock: typeof headers.clock === "number" ? headers.clock : 0,
    expires: typeof headers.expires === "number" && headers.expires > 0 ? headers.expires * 1000 : null,
  };
}

/** What `node` answers to `request`, for `Transport.publish`. The request must have a `replyTo`. */
export function encodeReply(
  request: Pick<ControlRequest, "ticket" | "replyTo">,
  node: string,
  reply: unknown,
  clock: number,
): WireMessage {
  const { exchange, routingKey } = request.replyTo!;
  return message(exchange, routingKey, { [node]: reply }, 1, { ticket: request.ticket ?? null, clock });
}

/** Reads a reply's envelope. @throws {BadMessageError} */
export function decodeReply(text: string): ControlReply {
  const { headers, body } = open(text);
  return {
    replies: body,
    ticket: textOrNull(headers.ticket),
    clock: typeof headers.clock === "number" ? headers.clock : 0,
  };
}

function message(
  exchange: string,
  routingKey: string,
  body: unknown,
  deliveryMode: 1 | 2,
  headers: Record<string, unknown>,
): WireMessage {
  return {
    exchange,
    routingKey,
    priority: 0,
    headers,
    contentType: "application/json",
    contentEncoding: "utf-8",
    body: stringifyPythonJson(body),
    deliveryMode,
  };
}

function open(text: string): { headers: Record<string, unknown>; body: Record<string, unknown> } {
  const envelope = decodeEnvelope(text);
  const body = serializerFor(envelope.contentType || "application/json").decode(envelope.body);
  if (!isRecord(body)) throw new BadMessageError("control message is not an object");
  return { headers: envelope.headers, body };
}

function namesOf(value: unknown): string[] | null {
  if (typeof value === "string") return [value];
  return Array.isArray(value) ? value.filter((name) => typeof name === "string") : null;
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
