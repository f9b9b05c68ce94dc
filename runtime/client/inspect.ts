/** Questions to all workers, Python's too (Celery: `app.control.inspect()`). Beside the way of a task. */
import type { Clock } from "../clock.ts";
import { CONTROL_EXCHANGE, decodeReply, encodeControl, REPLY_EXCHANGE } from "../protocol/control_message.ts";
import { uid } from "../protocol/uid.ts";
import type { Transport } from "../transport/transport.ts";

/** Whom to ask, and how long to wait for answers. */
export interface InspectOptions {
  /** Seconds. Default 1. */
  readonly timeout?: number;
  /** Node names, as `celery@host`. Default: all. */
  readonly destination?: readonly string[];
  /** Ends the waiting early, with the answers that have come. */
  readonly signal?: AbortSignal;
}

/** Asks workers; each answer comes under the name of its node. */
export class Inspect {
  readonly #transport: () => Promise<Transport>;
  readonly #clock: Clock;

  /** Made by {@linkcode App}. */
  constructor(transport: () => Promise<Transport>, clock: Clock) {
    this.#transport = transport;
    this.#clock = clock;
  }

  /** Which workers are alive: `{ "celery@host": { ok: "pong" } }`. */
  ping(options: InspectOptions = {}): Promise<Record<string, unknown>> {
    return this.#ask("ping", options);
  }

  /** Broadcasts a question and collects answers: until all who were named have answered, or the time is up. */
  async #ask(
    method: string,
    { timeout = 1, destination, signal }: InspectOptions,
  ): Promise<Record<string, unknown>> {
    const transport = await this.#transport();
    const ticket = uid(), address = uid();
    const queue = `${address}.reply.celery.pidbox`;
    await transport.bind(REPLY_EXCHANGE, address, queue);
    const receiver = await transport.receive({ queues: [queue], worker: uid(), events: silent });
    const over = new AbortController();
    const timer = this.#clock.after(timeout * 1000, () => over.abort());
    const ended = signal ? AbortSignal.any([signal, over.signal]) : over.signal;
    const answers: Record<string, unknown> = {};
    try {
      const replyTo = { exchange: REPLY_EXCHANGE, routingKey: address };
      const expires = this.#clock.now() + timeout * 1000;
      await transport.broadcast(
        CONTROL_EXCHANGE,
        encodeControl({ method, arguments: {}, destination: destination ?? null, ticket, replyTo, expires }),
      );
      const all = () =>
        destination !== undefined && destination.every((node) => Object.hasOwn(answers, node));
      while (!ended.aborted && !all()) {
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
      this.#clock.cancel(timer);
      await receiver[Symbol.asyncDispose]();
      await transport.deleteQueue(queue);
    }
    return answers;
  }
}

/** A reply queue has one reader and lives for a second: what its receiver has to say concerns nobody. */
const silent = { lost() {}, dead() {}, restored() {}, trouble() {}, away() {} };
