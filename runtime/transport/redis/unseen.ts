/**
 * Fetches whose answers were lost: what they took was never seen here, so it goes back unmarked as soon as the
 * connection is there again.
 */
import type { Clock } from "../../clock.ts";
import type { RedisConnection } from "./connection.ts";
import type { RedisKeys } from "./keys.ts";
import { returnUnseenScript } from "./restore_scripts.ts";

/** The numbers that a fetch could have given to what it took. */
interface LostFetch {
  readonly first: number;
  readonly last: number;
  /** Milliseconds by the monotonic clock. */
  readonly until: number;
}

export class Unseen {
  readonly #connection: RedisConnection;
  readonly #keys: RedisKeys;
  readonly #mine: string;
  readonly #clock: Clock;
  readonly #lease: number;
  #lost: LostFetch[] = [];

  constructor(connection: RedisConnection, keys: RedisKeys, mine: string, clock: Clock, lease: number) {
    this.#connection = connection;
    this.#keys = keys;
    this.#mine = mine;
    this.#clock = clock;
    this.#lease = lease;
  }

  /** The answer to a fetch was lost; the fetch itself may still be on its way to the server. */
  add(first: number, last: number): void {
    this.#lost.push({ first, last, until: this.#clock.monotonic() + this.#lease * 1000 });
  }

  /** Gives back what they took so far. @throws {BrokerUnavailableError} */
  async giveBack(): Promise<void> {
    const now = this.#clock.monotonic();
    for (const fetch of [...this.#lost]) {
      const keys = [this.#keys.unacked, this.#keys.index];
      const args = [this.#keys.prefix, this.#mine, fetch.first, fetch.last];
      await this.#connection.run(returnUnseenScript, keys.length, [...keys, ...args]);
      // One that comes to the server later than this is found by the watch, as anybody's is.
      if (now > fetch.until) this.#lost = this.#lost.filter((other) => other !== fetch);
    }
  }
}
