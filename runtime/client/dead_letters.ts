/** Messages that could not be run, as a client sees them. Beside the way of a task. */
import type { Settings } from "../config/settings.ts";
import type { DeadLetter, Transport } from "../transport/transport.ts";

/** Which dead letters are looked for. */
export interface DeadLetterOptions {
  /** Default: the setting `taskDefaultQueue`. */
  readonly queue?: string;
  /** The newest so many. Default 100. */
  readonly limit?: number;
}

/**
 * What could not be run is kept; here it is found again.
 *
 * @example
 * ```ts
 * import { App } from "../../mod.ts";
 *
 * const app = new App({ broker: "sqlite:./celeriac.db" });
 * const letters = await app.dead.list({ queue: "celery" });
 * await app.dead.requeue(letters.filter(({ reason }) => reason.includes("not registered")));
 * await app.disconnect();
 * ```
 */
export class DeadLetters {
  readonly #transport: () => Promise<Transport>;
  readonly #settings: Settings;

  /** Made by {@linkcode App}. */
  constructor(transport: () => Promise<Transport>, settings: Settings) {
    this.#transport = transport;
    this.#settings = settings;
  }

  /** The newest dead letters of a queue, the newest first. */
  async list(options: DeadLetterOptions = {}): Promise<DeadLetter[]> {
    const { queue = this.#settings.taskDefaultQueue, limit = 100 } = options;
    return await (await this.#transport()).deadLetters(queue, limit);
  }

  /** Puts letters back to their queues, behind what waits, with a clean count; tells how many were still there. */
  async requeue(letters: readonly DeadLetter[]): Promise<number> {
    return await (await this.#transport()).requeueDead(letters);
  }

  /** Drops letters for ever; tells how many were still there. */
  async drop(letters: readonly DeadLetter[]): Promise<number> {
    return await (await this.#transport()).dropDead(letters);
  }
}
