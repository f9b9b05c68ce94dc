/**
 * The contract of a transport (Celery: broker transport): how messages are published to a broker and how a worker
 * receives and settles them. `memory.ts`, `sqlite.ts`, `redis.ts` and `amqp.ts` implement it and pass one conformance
 * suite (`tests/conformance/transports.ts`); nothing else in the code knows which broker runs.
 *
 * A transport is pulled: a worker asks for as many deliveries as it has room for, so back-pressure needs no second
 * mechanism. Everything takes arrays, because a batch is the unit of I/O; what happens to one message of a batch
 * never concerns the others.
 */
import type { Clock } from "../clock.ts";
import type { WireMessage } from "../protocol/wire_message.ts";
import type { ResultStore, StoredResult } from "../results/result_store.ts";
import type { RevokedIds } from "./revoked_ids.ts";

/** What every transport is opened with, beside its URL. */
export interface TransportOptions {
  readonly clock: Clock;
  /** From 0 up to 1, as `Math.random`. */
  readonly random: () => number;
  /** Seconds a delivery stays with a worker that has stopped renewing it. Default 15. */
  readonly lease: number;
  /** Seconds after which what is not ours (a Python worker's) counts as lost, as kombu counts. Default 3600. */
  readonly visibilityTimeout: number;
  /** How often a message may be restored before it becomes a dead letter. Default 5. */
  readonly maxDeliveries: number;
  /** Bytes; a larger message becomes a dead letter before any worker reads it. Default 16 MiB. */
  readonly maxMessageBytes: number;
}

export interface Transport extends AsyncDisposable {
  /** The broker's URL with passwords masked: fit for logs. */
  readonly name: string;
  /** Which end of 0 to 9 is served first: 0 on Redis, SQLite and memory, 9 on RabbitMQ, as Celery's users know. */
  readonly urgentPriority: 0 | 9;
  /** What this kind of broker does its own way; default: nothing. */
  readonly ways?: BrokerWays;
  /** Seconds after which it takes back what is not settled, where its operator has not said otherwise. Default: never. */
  readonly takesBackAfter?: number;
  /** Ids of tasks that are not to run any more, where the broker can keep them; RabbitMQ can't. */
  readonly revoked?: RevokedIds;

  /** Opens what publishing needs. @throws {BrokerUnavailableError} when the broker cannot be reached. */
  connect(signal?: AbortSignal): Promise<void>;

  /** Makes the queues known to the broker, as Celery's declaration does; harmless when they are. */
  declare(queues: readonly string[]): Promise<void>;

  /**
   * Publishes a batch, in order. When it resolves the broker has all of it. An `exchange` other than `""` sends to
   * every queue bound to it with that routing key; none bound drops the message, as in Celery, unless the broker tells.
   * @throws {PublishError} When it has all but some.
   */
  publish(messages: readonly WireMessage[]): Promise<void>;

  /** Binds `queue` to a direct exchange (used for the replies of remote control). */
  bind(exchange: string, routingKey: string, queue: string): Promise<void>;

  /** Opens a worker's view of `queues`. */
  receive(options: ReceiverOptions): Promise<Receiver>;

  /** Sends to everybody who listens now; nobody listening is no error (Celery: fanout). */
  broadcast(exchange: string, message: WireMessage): Promise<void>;
  /** Listens to a fanout exchange; `listener` gets the envelope's text. Survives a lost connection. */
  listen(exchange: string, listener: (text: string) => void): Promise<AsyncDisposable>;

  /** How much stands in each queue. Without names: of all queues that the broker knows. */
  lengths(queues?: readonly string[]): Promise<QueueLength[]>;
  /** Drops what is ready or delayed in a queue, not what workers hold nor the dead letters; tells how many. */
  purge(queue: string): Promise<number>;
  /** Deletes a queue with its bindings (a reply queue that has served). */
  deleteQueue(queue: string): Promise<void>;
  /** The newest dead letters of a queue, at most `limit`. */
  deadLetters(queue: string, limit: number): Promise<DeadLetter[]>;
  /**
   * Puts dead letters back to their queues, behind what waits there, with a clean count of deliveries. Each is in one
   * place at any time, but on RabbitMQ, where a crash may leave it in both. Tells how many were still there.
   */
  requeueDead(letters: readonly DeadLetter[]): Promise<number>;
  /** Drops dead letters for ever; tells how many were still there. */
  dropDead(letters: readonly DeadLetter[]): Promise<number>;
}

/**
 * How brokers differ where the others agree. What is true here is true of RabbitMQ; it is asked by the conformance suite,
 * and by whoever must know.
 */
export interface BrokerWays {
  /** It restores what a worker held as soon as its connection ends; there are no leases, and `restored` is not told. */
  readonly restoresAtOnce: boolean;
  /** It counts how often it restored a message after a crash. Otherwise only {@linkcode Outcome} `restore` is counted. */
  readonly countsCrashes: boolean;
  /** `redelivered` is a hint: what was handed back unstarted may carry it, too. */
  readonly redeliveredIsHint: boolean;
  /** `restore` puts a message behind those that wait. */
  readonly restoresToTheEnd: boolean;
  /** `return` puts it there, too. */
  readonly returnsToTheEnd: boolean;
  /** Delayed messages of all queues stand together: they are neither counted nor purged queue by queue. */
  readonly delayedTogether: boolean;
  /** It can't tell which queues it has: `lengths` without names tells of those that this process has used. */
  readonly listsOwnOnly: boolean;
  /** Only what this process holds can be counted as `unacked`. */
  readonly countsOwnOnly: boolean;
  /** It does not answer acknowledgements: the last ones before a crash may be lost, and their messages come again. */
  readonly acksUnanswered: boolean;
  /** A message that no queue takes is an error of its publishing. */
  readonly tellsUnroutable: boolean;
}

export interface QueueLength {
  readonly queue: string;
  /** Ready to be received. */
  readonly ready: number;
  /** Held back until their time. */
  readonly delayed: number;
  /** In the hands of workers (Celery: unacked). On Redis of all workers, Python's too. */
  readonly unacked: number;
  readonly dead: number;
}

/** A message that could not be run. */
export interface DeadLetter {
  /** Only its transport can read it. */
  readonly tag: string | number;
  /** Where it was received, and where it goes back to. */
  readonly queue: string;
  /** Why it could not be run. */
  readonly reason: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** The message as it was received, byte for byte. */
  readonly body: Uint8Array;
}

/** One message in a worker's hands, from `exchange` until it is settled. */
export interface Delivery {
  /** Only its transport can read it. Fresh for each delivery, never the message's own `delivery_tag`. */
  readonly tag: string | number;
  readonly queue: string;
  /** kombu's JSON envelope. After a restore its headers say so: `redelivered`, `celeriac_deliveries`. */
  readonly text: string;
  /** Where its caller waits for the result, on brokers that carry results too. */
  readonly replyTo?: string;
}

/**
 * What becomes of a delivery:
 * - `ack`: it is done with;
 * - `return`: it was not started; it goes back to the front of its queue, unmarked and not counted;
 * - `restore`: it may have run in part; it goes back to the front of its queue, marked `redelivered` and counted,
 *   or, when it was counted `maxDeliveries` times, to the dead letters;
 * - `again`: the same, but it is known that it was not the reason: it is marked and not counted;
 * - `delay`: it is kept by the broker until `due` and then returns to its queue, unmarked;
 * - `dead`: it can't be run and is kept, byte for byte, with its `reason`.
 */
export type Outcome = "ack" | "return" | "restore" | "again" | "delay" | "dead";

export interface Settlement {
  readonly delivery: Delivery;
  readonly outcome: Outcome;
  /** Stored in the same step where {@linkcode Receiver.storesResults}; otherwise not looked at. */
  readonly result?: StoredResult;
  /** What is to be published before the result is stored (callbacks, the next step). */
  readonly follow?: readonly WireMessage[];
  /** For `delay`: milliseconds since 1970. */
  readonly due?: number;
  /** For `dead`. */
  readonly reason?: string;
}

export interface ReceiverOptions {
  readonly queues: readonly string[];
  /** Who receives, unique in the world: it is a part of the tags of what is held. No `:` in it. */
  readonly worker: string;
  /** Where results go, so that the transport can store them in the step that settles, if it can. */
  readonly results?: ResultStore;
  readonly events: ReceiverEvents;
}

/** A message among the dead letters: its text, and where its caller waits for the result. */
export type BuriedMessage = Pick<Delivery, "text" | "replyTo">;

/** What a receiver has to say beside its deliveries; each is logged and counted by the worker. */
export interface ReceiverEvents {
  /** These are not ours any more (others have them): what was to settle them was not done. */
  lost(deliveries: readonly Delivery[]): void;
  /**
   * The transport itself put a message to the dead letters (not an envelope, too large, restored too often). `message` is
   * given where somebody may wait for the result of it.
   */
  dead(queue: string, reason: string, message?: BuriedMessage): void;
  /** What others held and did not renew was restored to its queues. */
  restored(count: number): void;
  /** Something is wrong or has become right again: said once at each change. */
  trouble(message: string): void;
  /** The connection to `broker` was lost (and why), or is there again (nothing): said once at each change. */
  away(broker: string, why: string | undefined): void;
}

/** How a worker with more than enough to do takes turns with a broker best. */
export interface Pace {
  /** How many deliveries a step settles, and how many it fetches, at the most. */
  readonly batch: number;
  /** How many deliveries of short tasks an isolate has ahead of itself, so that the next step can be as large. */
  readonly ahead: number;
  /** Steps under way at once, at the most: more of them would only wait for one another. */
  readonly width: number;
  /** Milliseconds that finished work waits for more to go with it while all isolates have enough to do. */
  readonly gather: number;
  /** A step beside one that is under way settles or fetches so much, or waits as long for more. Default 1. */
  readonly least?: number;
}

/** The pace of brokers for which many small steps at once are as good as few large ones. */
export const QUICK_PACE: Pace = { batch: 256, ahead: 128, width: Infinity, gather: 1 };

export interface Receiver extends AsyncDisposable {
  /** How large its steps are best, and how many go on at once. */
  readonly pace: Pace;

  /** `exchange` stores results in the step that acknowledges (one script, one transaction). */
  readonly storesResults: boolean;

  /**
   * Whether the last exchange that fetched took all that was ready: then {@linkcode Receiver.arrival} may be asked as
   * after an empty one. Where it is not told, only an empty exchange says so.
   */
  readonly tookAll?: boolean;

  /**
   * Settles what is finished and fetches at most `room` deliveries more, in one step where the broker can. For each
   * settlement in this order: publish `follow`, store `result`, settle; done only if the delivery is still ours.
   * Queues take fair turns, urgent priorities go first. Several calls may be under way at once.
   *
   * @throws {BrokerUnavailableError} When it is not known to be done: settle the same again, which is harmless.
   */
  exchange(settlements: readonly Settlement[], room: number): Promise<Delivery[]>;

  /**
   * Counts a delivery that is about to start as a restore would count it, so that it is known even if the start takes the
   * whole worker down. It stays where it is, and its `text` becomes the marked one. Where a message can't be changed in
   * the broker's hands there is no such means, and only restores are counted.
   *
   * @returns Whether it is ours still.
   * @throws {BrokerUnavailableError} When it is not known to be done.
   */
  countStart?(delivery: Delivery): Promise<boolean>;

  /**
   * Resolves when there may be something to fetch that was not there at the last empty exchange; woken by the
   * broker, not by polling. May resolve for nothing.
   * @throws The signal's reason.
   */
  arrival(signal: AbortSignal): Promise<void>;
}

/** The broker has a batch but for some of its messages, each of which has its own reason. */
export class PublishError extends Error {
  /** `"PublishError"`. */
  override readonly name = "PublishError";
  /** Why, by the index of the message in its batch. */
  readonly failures: ReadonlyMap<number, Error>;

  /** `failures` by index; one at least. */
  constructor(failures: ReadonlyMap<number, Error>) {
    const [first] = failures.values();
    super(`${failures.size} of the messages: ${first.message}`, { cause: first });
    this.failures = failures;
  }
}

/** No queue takes the message: its queue was deleted, or none is bound to its exchange with its routing key. */
export class UnroutableError extends Error {
  /** `"UnroutableError"`. */
  override readonly name = "UnroutableError";
}

/** The broker has accepted a message, but not as many of its replicas as were asked for (`?replicas=1`) say that they have. */
export class UnreplicatedError extends Error {
  /** `"UnreplicatedError"`. */
  override readonly name = "UnreplicatedError";
}

/** The broker or store cannot be reached, or went away in the middle: try again later, unless {@linkcode permanent}. */
export class BrokerUnavailableError extends Error {
  /** `"BrokerUnavailableError"`. */
  override readonly name = "BrokerUnavailableError";
  /** Trying again is of no use: a wrong password, a database that does not exist, a certificate not to be trusted. */
  readonly permanent: boolean;

  /** `cause` is what the broker's own library said. */
  constructor(message: string, options: ErrorOptions & { readonly permanent?: boolean } = {}) {
    super(message, options);
    this.permanent = options.permanent ?? false;
  }
}
