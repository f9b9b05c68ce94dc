/**
 * One message as a broker carries it, in kombu's parts and before a transport gives it its own form: the Redis,
 * SQLite and memory transports write it as kombu's JSON envelope (`envelope.ts`), AMQP as properties and a body.
 */
export interface WireMessage {
  /** `""` is the default exchange: the message goes to the queue named by {@linkcode routingKey}. */
  readonly exchange: string;
  readonly routingKey: string;
  /** As the caller gave it; which end is urgent is the transport's to say. */
  readonly priority: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly contentType: string;
  readonly contentEncoding: string;
  /** Serialized, and compressed where the headers say so. Text is UTF-8 once it leaves. */
  readonly body: string | Uint8Array;
  /** The task's id, for a task message. */
  readonly correlationId?: string;
  readonly replyTo?: string;
  /** 2 is kept on disk by an AMQP broker, 1 is not (replies). Default 2. */
  readonly deliveryMode?: 1 | 2;
}

/** The same message with a mark: the broker may have it already, though it did not say so. */
export function secondCopy(message: WireMessage): WireMessage {
  return { ...message, headers: { ...message.headers, redelivered: true } };
}
