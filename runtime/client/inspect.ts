/** Questions to all workers, Python's too (Celery: `app.control.inspect()`). Beside the way of a task. */
import type { Clock } from "../clock.ts";
import { askWorkers } from "../transport/ask_workers.ts";
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
    return this.ask("ping", {}, options);
  }

  /** The tasks that run now. */
  active(options: InspectOptions = {}): Promise<Record<string, unknown>> {
    return this.ask("active", {}, options);
  }

  /** The tasks that workers have fetched and not started. */
  reserved(options: InspectOptions = {}): Promise<Record<string, unknown>> {
    return this.ask("reserved", {}, options);
  }

  /** The tasks that workers have fetched and keep until their time. */
  scheduled(options: InspectOptions = {}): Promise<Record<string, unknown>> {
    return this.ask("scheduled", {}, options);
  }

  /** The ids of tasks that are not to run any more. */
  revoked(options: InspectOptions = {}): Promise<Record<string, unknown>> {
    return this.ask("revoked", {}, options);
  }

  /** The names of the tasks that workers know; with `items` what Celery's names say of each, as `time_limit`. */
  registered(
    options: InspectOptions & { readonly items?: readonly string[] } = {},
  ): Promise<Record<string, unknown>> {
    const { items = [], ...rest } = options;
    return this.ask("registered", { taskinfoitems: items }, rest);
  }

  /** What workers are made of and have done. */
  stats(options: InspectOptions = {}): Promise<Record<string, unknown>> {
    return this.ask("stats", {}, options);
  }

  /** The queues that workers serve. */
  activeQueues(options: InspectOptions = {}): Promise<Record<string, unknown>> {
    return this.ask("active_queues", {}, options);
  }

  /** Asks anything, by its name in Celery; until all who were named have answered, or the time is up. */
  async ask(
    method: string,
    given: Readonly<Record<string, unknown>> = {},
    { timeout = 1, destination, signal }: InspectOptions = {},
  ): Promise<Record<string, unknown>> {
    const announcement = { method, arguments: given, destination };
    return await askWorkers(await this.#transport(), this.#clock, announcement, { timeout, signal });
  }
}
