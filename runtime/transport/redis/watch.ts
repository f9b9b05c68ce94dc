/**
 * Watches what others hold, and restores what they have stopped renewing. A holder counts as dead only when this
 * process has itself watched it for a full lease, by a clock that never jumps, while the broker answered: a broker that
 * stood still, or a machine that slept, makes nobody look dead.
 */
import type { Clock } from "../../clock.ts";
import type { ReceiverEvents, TransportOptions } from "../transport.ts";
import type { Argument, RedisConnection } from "./connection.ts";
import type { RedisKeys } from "./keys.ts";
import { renewalInterval } from "./lease.ts";
import { overdueScript, restoreForeignScript, restoreOverdueScript } from "./restore_scripts.ts";
import type { Script } from "./script.ts";
import { tagOfName } from "./tags.ts";

interface Watched {
  readonly score: string;
  /** Milliseconds by the monotonic clock. */
  since: number;
}

/** Entries that one script looks at. */
const LOOK = 1_000;
/** Entries that one script restores: marking one takes about 0.1 ms. */
const RESTORE = 100;
/** Entries watched at once; what is beyond waits for its turn. */
const MOST_WATCHED = 100_000;

/** Milliseconds between two looks. */
export function lookInterval(lease: number): number {
  return Math.min(1_000, lease * 1000 / 15);
}

export class Watch {
  readonly #connection: RedisConnection;
  readonly #keys: RedisKeys;
  readonly #mine: string;
  readonly #isHeld: (tag: number) => boolean;
  readonly #events: ReceiverEvents;
  readonly #clock: Clock;
  readonly #options: TransportOptions;
  readonly #watched = new Map<string, Watched>();
  #from = "-inf";
  #answered = -Infinity;

  constructor(
    connection: RedisConnection,
    keys: RedisKeys,
    mine: string,
    isHeld: (tag: number) => boolean,
    events: ReceiverEvents,
    options: TransportOptions,
  ) {
    this.#connection = connection;
    this.#keys = keys;
    this.#mine = mine;
    this.#isHeld = isHeld;
    this.#events = events;
    this.#clock = options.clock;
    this.#options = options;
  }

  /** Looks at all again: the server is another one perhaps, which has older entries than those that were seen. */
  startOver(): void {
    this.#from = "-inf";
  }

  /** Looks once. @throws {BrokerUnavailableError} */
  async look(): Promise<void> {
    const asked = this.#clock.monotonic();
    await this.#collect();
    await this.#restore(asked - this.#options.lease * 1000);
    await this.#restoreForeign();
  }

  /** Asks the server. A gap between two answers is time in which holders may have been unable to renew: not counted. */
  async #ask(script: Script, keys: number, args: Argument[]): Promise<unknown> {
    const answer = await this.#connection.run(script, keys, args);
    const now = this.#clock.monotonic();
    if (now - this.#answered > this.#options.lease * 1000 / 3) {
      for (const watched of this.#watched.values()) watched.since = now;
    }
    this.#answered = now;
    return answer;
  }

  /** Finds what has missed a renewal since the last look. */
  async #collect(): Promise<void> {
    const { lease } = this.#options;
    const overdue = (renewalInterval(lease) + lookInterval(lease)) / 1000;
    let limit = LOOK;
    while (this.#watched.size < MOST_WATCHED) {
      const [upto, count, ...found] = await this.#ask(overdueScript, 1, [
        this.#keys.index,
        this.#from,
        overdue,
        limit,
      ]) as [string, number, ...string[]];
      const since = this.#clock.monotonic();
      for (let i = 0; i < found.length; i += 2) this.#see(found[i], found[i + 1], since);
      // The server's clock was set back: what was renewed since then has a score from before.
      const back = Number(upto) < Number(this.#from);
      const stuck = count === limit && upto === this.#from;
      this.#from = back ? "-inf" : upto;
      if (count < limit && !back) return;
      // All that were found have one score, and more of them wait behind.
      if (stuck) limit *= 2;
    }
  }

  #see(tag: string, score: string, since: number): void {
    if (tag.startsWith(this.#mine) && this.#isHeld(tagOfName(tag))) return;
    if (this.#watched.get(tag)?.score !== score) this.#watched.set(tag, { score, since });
  }

  async #restore(before: number): Promise<void> {
    const due = [...this.#watched].filter(([, { since }]) => since <= before);
    if (due.length === 0) return;
    // The last one put back is the next one out, so the first fetched goes last.
    due.sort(([a], [b]) => tagOfName(b) - tagOfName(a));
    for (let at = 0; at < due.length; at += RESTORE) {
      const batch = due.slice(at, at + RESTORE).filter(([, { since }]) => since <= before);
      const [count, ...dead] = await this.#ask(restoreOverdueScript, 2, [
        this.#keys.unacked,
        this.#keys.index,
        this.#keys.prefix,
        this.#options.maxDeliveries,
        this.#mine,
        ...batch.flatMap(([tag, { score }]) => [tag, score]),
      ]) as [number, ...string[]];
      // Restored now, or renewed meanwhile: then it is found again when it is overdue again.
      for (const [tag] of batch) this.#watched.delete(tag);
      this.#tell(count, dead);
    }
  }

  async #restoreForeign(): Promise<void> {
    for (let restored = RESTORE; restored >= RESTORE;) {
      const [count, ...dead] = await this.#ask(restoreForeignScript, 2, [
        this.#keys.unacked,
        this.#keys.index,
        this.#keys.prefix,
        this.#options.maxDeliveries,
        this.#options.visibilityTimeout,
        LOOK,
        RESTORE,
      ]) as [number, ...string[]];
      this.#tell(count, dead);
      restored = count;
    }
  }

  #tell(count: number, dead: readonly string[]): void {
    if (count > 0) this.#events.restored(count);
    for (let i = 0; i < dead.length; i += 3) this.#events.dead(dead[i], dead[i + 1], { text: dead[i + 2] });
  }
}
