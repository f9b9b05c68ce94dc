/** The lease of what a receiver holds: renewed often enough that nobody takes its worker for dead. */
import type { ReceiverEvents } from "../transport.ts";
import type { RedisConnection } from "./connection.ts";
import type { Held, HeldDelivery } from "./held.ts";
import type { RedisKeys } from "./keys.ts";
import { renewScript } from "./renew_script.ts";

/** Tags that one script renews; more would keep other clients waiting. */
const BATCH = 5_000;

/** Milliseconds between two renewals of a lease of so many seconds. */
export function renewalInterval(lease: number): number {
  return Math.min(5_000, lease * 1000 / 3);
}

export class Lease {
  readonly #connection: RedisConnection;
  readonly #keys: RedisKeys;
  readonly #mine: string;
  readonly #held: Held;
  readonly #events: ReceiverEvents;

  constructor(
    connection: RedisConnection,
    keys: RedisKeys,
    mine: string,
    held: Held,
    events: ReceiverEvents,
  ) {
    this.#connection = connection;
    this.#keys = keys;
    this.#mine = mine;
    this.#held = held;
    this.#events = events;
  }

  /** Renews all that is held and tells of what was lost. @throws {BrokerUnavailableError} */
  async renew(): Promise<void> {
    for (const ranges of [...this.#held.ranges(BATCH)]) {
      const lost = await this.#connection.run(renewScript, 1, [
        this.#keys.index,
        this.#mine,
        ...ranges,
      ]) as number[];
      // What was settled while this was under way is not lost.
      const deliveries = lost.map((tag) => this.#held.get(tag)).filter((delivery) => delivery !== undefined);
      for (const delivery of deliveries) this.#held.delete(delivery.tag);
      const surely = deliveries.filter(({ unsure }) => !unsure);
      if (surely.length > 0) this.#events.lost(surely as HeldDelivery[]);
    }
  }
}
