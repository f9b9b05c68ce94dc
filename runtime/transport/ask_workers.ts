/** Questions and orders to all workers at once, Python's too (Celery: broadcast). Beside the way of a task. */
import type { Clock } from "../clock.ts";
import {
  CONTROL_EXCHANGE,
  type ControlRequest,
  decodeReply,
  encodeControl,
  REPLY_EXCHANGE,
} from "../protocol/control_message.ts";
import { uid } from "../protocol/uid.ts";
import type { Transport } from "./transport.ts";

/** What is said to whom. */
export type Announcement =
  & Pick<ControlRequest, "method" | "arguments">
  & Partial<Pick<ControlRequest, "destination" | "pattern" | "matcher">>;

/** How long answers are waited for. */
export interface Patience {
  /** Seconds. */
  readonly timeout: number;
  /** As many answers are enough. */
  readonly limit?: number;
  /** Ends the waiting early, with the answers that have come. */
  readonly signal?: AbortSignal;
}

/** Says it and waits for nothing. */
export async function tellWorkers(transport: Transport, announcement: Announcement): Promise<void> {
  await transport.broadcast(CONTROL_EXCHANGE, encodeControl(announcement));
}

/**
 * Says it and collects answers, each under the name of its node: until all who were named have answered, as many as are
 * enough, or the time is up.
 */
export async function askWorkers(
  transport: Transport,
  clock: Clock,
  announcement: Announcement,
  { timeout, limit = Infinity, signal }: Patience,
): Promise<Record<string, unknown>> {
  const ticket = uid(), address = uid();
  const queue = `${address}.reply.celery.pidbox`;
  await transport.bind(REPLY_EXCHANGE, address, queue);
  const receiver = await transport.receive({ queues: [queue], worker: uid(), events: silent });
  const over = new AbortController();
  const timer = clock.after(timeout * 1000, () => over.abort());
  const ended = signal ? AbortSignal.any([signal, over.signal]) : over.signal;
  const answers: Record<string, unknown> = {};
  try {
    const replyTo = { exchange: REPLY_EXCHANGE, routingKey: address };
    const expires = clock.now() + timeout * 1000;
    const request = encodeControl({ ...announcement, ticket, replyTo, expires });
    await transport.broadcast(CONTROL_EXCHANGE, request);
    const { destination } = announcement;
    const enough = () =>
      destination?.every((node) => Object.hasOwn(answers, node)) || Object.keys(answers).length >= limit;
    while (!ended.aborted && !enough()) {
      const deliveries = await receiver.exchange([], 64);
      for (const { text } of deliveries) {
        const reply = decodeReply(text);
        if (reply.ticket === ticket) Object.assign(answers, reply.replies);
      }
      if (deliveries.length > 0) {
        await receiver.exchange(deliveries.map((delivery) => ({ delivery, outcome: "ack" as const })), 0);
      } else {
        await receiver.arrival(ended).catch((error) => {
          if (!ended.aborted) throw error;
        });
      }
    }
  } finally {
    clock.cancel(timer);
    await receiver[Symbol.asyncDispose]();
    await transport.deleteQueue(queue);
  }
  return answers;
}

/** A reply queue has one reader and lives for a second: what its receiver has to say concerns nobody. */
const silent = { lost() {}, dead() {}, restored() {}, trouble() {}, away() {} };
