/**
 * The contract of a place: where the schedulers of one broker agree who sends which entry, and where its last time is kept.
 * It **publishes**, too, because sending and writing down that it was sent are one step wherever the broker can do that.
 *
 * Memory, SQLite and Redis implement a {@linkcode Ledger} under `leased_place.ts`; RabbitMQ has a place of its own.
 */
import type { Clock } from "../clock.ts";
import type { WireMessage } from "../protocol/wire_message.ts";
import type { OwnerBeat } from "../transport/lease.ts";
import { BadUrlError, kindOf, maskUrl, schemeOf, type ServerKind } from "../transport/url.ts";

/** An entry that a scheduler would send. */
export interface Wanted {
  readonly key: string;
  /** Where its messages go, for brokers that keep what belongs together in one part of them. */
  readonly queue: string;
  /** Its timetable's text: when it differs from what is kept, the entry begins anew. */
  readonly timetable: string;
  /** What is kept as its last time if it begins anew. Milliseconds since 1970. */
  readonly first: number;
}

/** What is held after a look. */
export interface Holding {
  /** The last times of the entries that this scheduler sends, by their keys. */
  readonly held: ReadonlyMap<string, number>;
  /** Milliseconds after which the next look is due. */
  readonly again: number;
}

/** A task to be sent. */
export interface Sending extends Wanted {
  /** The last time that is kept. */
  readonly before: number;
  /** The time that this one stands for, kept from now on. */
  readonly at: number;
  readonly message: WireMessage;
}

/** What became of one: it was sent now, another scheduler holds the entry, or it can't be sent at all. */
export type Sent = "sent" | "lost" | Error;

export interface Place extends AsyncDisposable {
  /** The broker's URL with passwords masked: fit for logs. */
  readonly name: string;
  /** @throws {BrokerUnavailableError} When the broker cannot be reached. */
  connect(signal?: AbortSignal): Promise<void>;
  /**
   * Keeps what is held, takes what nobody holds, and lets go what is not wanted any more.
   * @throws {BrokerUnavailableError} Then nothing is known to be held.
   */
  hold(wanted: readonly Wanted[]): Promise<Holding>;
  /** @throws {BrokerUnavailableError} When it is not known what became of them. */
  send(batch: readonly Sending[]): Promise<readonly Sent[]>;
  /** The last times of entries by their keys, whoever holds them, as far as they can be read. */
  read(wanted: readonly Wanted[]): Promise<ReadonlyMap<string, number>>;
  /** Lets go of everything at once, so that another scheduler goes on, and closes. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Where leases are written that nobody else watches: one step each. */
export interface Ledger {
  readonly name: string;
  connect(signal?: AbortSignal): Promise<void>;
  /** Counts this scheduler's own beat up; gives those of all others. */
  renew(me: string): Promise<readonly OwnerBeat<string>[]>;
  /** Forgets a scheduler, unless its beat has moved on; without a beat in any case. */
  bury(owner: string, beat?: number): Promise<void>;
  /** Takes what no one of `alive` holds; gives the last times of all that is held now. */
  claim(
    me: string,
    alive: readonly string[],
    wanted: readonly Wanted[],
  ): Promise<ReadonlyMap<string, number>>;
  send(me: string, batch: readonly Sending[]): Promise<readonly Sent[]>;
  read(wanted: readonly Wanted[]): Promise<ReadonlyMap<string, number>>;
  close(): Promise<void>;
}

/** What a place is opened with. */
export interface PlaceOptions {
  readonly clock: Clock;
  /** As `Math.random`. */
  readonly random: () => number;
  /** Seconds. */
  readonly lease: number;
  /** Called when another look may find more than the last one. */
  readonly changed: () => void;
}

/**
 * The place for a broker's URL, not connected yet.
 * @throws {BadUrlError}
 */
export async function openPlace(url: string, options: PlaceOptions): Promise<Place> {
  const scheme = schemeOf(url);
  const kind = kindOf(scheme);
  switch (kind) {
    case "amqp":
      return new (await import("./amqp_place.ts")).AmqpSchedulePlace(url, options);
    case "memory":
    case "sqlite":
    case "redis":
    case "cluster": {
      const { openTransport } = await import("../transport/open.ts");
      const { LeasedPlace } = await import("./leased_place.ts");
      const transport = await openTransport(url, { clock: options.clock, random: options.random });
      return new LeasedPlace(await openLedger(kind, url, options), transport, options);
    }
    default:
      throw new BadUrlError(`${maskUrl(url)}: there is no broker "${scheme}" that schedules`);
  }
}

async function openLedger(kind: ServerKind, url: string, options: PlaceOptions): Promise<Ledger> {
  if (kind === "memory") return new (await import("./memory_ledger.ts")).MemoryLedger(url);
  if (kind === "sqlite") return new (await import("./sqlite_ledger.ts")).SqliteLedger(url, options);
  return new (await import("./redis_ledger.ts")).RedisLedger(url, options);
}
