/** Messages of timers on their way to the broker: **publish**, in batches, for as long as the broker is away. */
import { withResolvers } from "../platform.ts";
import type { WireMessage } from "../protocol/wire_message.ts";
import { PublishError, type Transport } from "../transport/transport.ts";

/** Messages that are published at once: few enough that what is due next is not held up. */
export const BATCH = 128;

/** A timer that the broker is to keep. */
interface Keeping {
  readonly message: WireMessage;
  readonly kept: PromiseWithResolvers<void>;
}

/** Publishes what timers send. */
export class TimerOutlet {
  readonly #transport: () => Transport;
  readonly #retry: <T>(run: () => Promise<T>) => Promise<T>;
  #keeping: Keeping[] = [];
  #isKeeping = false;

  /** `retry` tries until it succeeds; it rejects when the worker is ended meanwhile. */
  constructor(transport: () => Transport, retry: <T>(run: () => Promise<T>) => Promise<T>) {
    this.#transport = transport;
    this.#retry = retry;
  }

  /** Publishes once the broker takes it; gives those that no queue takes, by their index. */
  async publish(messages: readonly WireMessage[]): Promise<ReadonlyMap<number, Error>> {
    if (messages.length === 0) return new Map();
    let sent = messages;
    return await this.#retry(async () => {
      try {
        await this.#transport().publish(sent);
        return new Map();
      } catch (error) {
        if (error instanceof PublishError) return error.failures;
        // The broker may have them although its answer never came: what is sent now may be a second copy, and says so.
        sent = messages.map((message) => ({
          ...message,
          headers: { ...message.headers, redelivered: true },
        }));
        throw error;
      }
    });
  }

  /** Publishes one message with others of its kind. @throws When no queue takes it. */
  keep(message: WireMessage): Promise<void> {
    const kept = withResolvers();
    this.#keeping.push({ message, kept });
    if (!this.#isKeeping) void this.#keepAll();
    return kept.promise;
  }

  async #keepAll(): Promise<void> {
    this.#isKeeping = true;
    // What else is set in this turn goes with it.
    await Promise.resolve();
    while (this.#keeping.length > 0) {
      const some = this.#keeping.splice(0, BATCH);
      try {
        const failures = await this.publish(some.map(({ message }) => message));
        some.forEach(({ kept }, i) => {
          const failure = failures.get(i);
          failure === undefined ? kept.resolve() : kept.reject(failure);
        });
      } catch (error) {
        for (const { kept } of some) kept.reject(error);
      }
    }
    this.#isKeeping = false;
  }
}
