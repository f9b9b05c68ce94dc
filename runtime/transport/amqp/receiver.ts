/**
 * Receive and settle on RabbitMQ: a worker's view of its queues, each through a channel of its own, with fair turns
 * between them. What has no room here is not kept here: it goes back for others.
 */
import type { TimerHandle } from "../../clock.ts";
import type { StoredResult } from "../../results/result_store.ts";
import type {
  Delivery,
  Pace,
  Receiver,
  ReceiverOptions,
  Settlement,
  TransportOptions,
} from "../transport.ts";
import { takeTurns } from "../turns.ts";
import type { AmqpConnection } from "./connection.ts";
import type { DelayedDelivery } from "./delayed.ts";
import type { Outgoing } from "./message.ts";
import type { AmqpPublisher } from "./publisher.ts";
import { type Settling, SettlingMessages } from "./settling.ts";
import { QueueStreams } from "./queue_streams.ts";
import type { Held, QueueStream, Refused } from "./stream.ts";
import type { Topology } from "./topology.ts";

/**
 * Larger steps mean fewer frames to confirm and acknowledge: against steps of 256 and 128 ahead they save a fifth of the
 * processor time of a worker, and a tenth of RabbitMQ's.
 */
const PACE: Pace = { batch: 512, ahead: 512, width: Infinity, gather: 5 };
/** From this room on the broker sends ahead of time; for less it is asked message by message. */
const MANY = 16;
/** Milliseconds without a message after which it is asked whether there are more. */
const QUIET = 1;
/** So often it may say that there are, and none comes: another consumer has them, perhaps. */
const PATIENCE = 100;
/** Milliseconds for which messages wait here for room, before they go back. */
const KEEP = 1_000;
/** Settled here, but not at a broker that takes no messages; more are not accepted before it does. */
const MOST_WAITING = 10_000;

export interface ReceiverContext {
  readonly receiving: AmqpConnection;
  readonly publishing: AmqpConnection;
  readonly publisher: AmqpPublisher;
  readonly topology: Topology;
  readonly publishingTopology: Topology;
  readonly delayed: DelayedDelivery;
  readonly options: TransportOptions;
  /** The message that brings a result to its caller, where results go over this broker. */
  readonly reply?: (result: StoredResult, replyTo: string | undefined) => Outgoing | undefined;
  /** Called once it is closed. */
  readonly closed: () => void;
}

export class AmqpReceiver implements Receiver {
  readonly storesResults: boolean;
  readonly pace = PACE;
  readonly #context: ReceiverContext;
  readonly #options: ReceiverOptions;
  readonly #messages: SettlingMessages;
  readonly #held = new Map<number, Held>();
  readonly #streams: QueueStreams;
  readonly #closing = new AbortController();
  readonly #unwatch: () => void;
  /** Resolves those who wait for a message, for a change of the connections, or for the end. */
  readonly #wakers = new Set<() => void>();
  readonly #settlings = new Set<Promise<void>>();
  #waiting = 0;
  #refused: Refused[] = [];
  #burying: Promise<void> | undefined;
  #demand = 0;
  #arrivals = 0;
  #lastTag = 0;
  #turn = 0;
  #exchanges = 0;
  /** When somebody last asked for messages, and when for many. */
  #lastAsked = 0;
  #lastAskedMany = 0;
  #timer: TimerHandle | undefined;

  constructor(options: ReceiverOptions, context: ReceiverContext) {
    this.#options = options;
    this.#context = context;
    this.storesResults = context.reply !== undefined;
    const { clock, maxDeliveries } = context.options;
    this.#messages = new SettlingMessages({
      publisher: context.publisher,
      topology: context.publishingTopology,
      delayed: context.delayed,
      clock,
      maxDeliveries,
      events: options.events,
      ...(context.reply && { reply: context.reply }),
    });
    const { receiving: connection, topology } = context;
    const { signal: closing } = this.#closing;
    this.#streams = new QueueStreams(options.queues, {
      connection,
      topology,
      options: context.options,
      closing,
    }, {
      freshTag: () => ++this.#lastTag,
      changed: () => this.#wake(),
      refused: (refused) => {
        this.#lastTag++;
        this.#refused.push(refused);
      },
      retired: (stream) => void this.#giveBackAhead(stream).catch(() => {}),
      ended: (stream, why) => this.#ended(stream, why),
    });
    const { name } = context.publishing.place;
    const stop = [
      context.receiving.watch({ gone: () => this.#wake(), ready: () => this.#wake() }),
      context.publishing.watch({
        gone: () => this.#wake(),
        ready: () => this.#wake(),
        blocked: (reason) => {
          options.events.trouble(
            reason === undefined
              ? `${name} takes messages again`
              : `${name} takes no messages at the moment (${reason}): results and what follows wait`,
          );
          this.#wake();
        },
      }),
    ];
    this.#unwatch = () => stop.forEach((end) => end());
  }

  /** Opens its channels. @throws {BrokerUnavailableError} */
  async open(): Promise<void> {
    try {
      await this.#streams.all();
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** How many messages of a queue it holds: sent ahead of time, and at work. */
  count(queue: string): { ahead: number; held: number } {
    let held = 0;
    for (const each of this.#held.values()) if (each.queue === queue) held++;
    held += this.#refused.filter(({ stream }) => stream.queue === queue).length;
    return { ahead: this.#streams.of(queue)?.size ?? 0, held };
  }

  /** Drops what was sent ahead of time; tells how many. */
  async purge(queue: string): Promise<number> {
    const stream = this.#streams.of(queue);
    if (stream === undefined) return 0;
    const ahead = await stream.pause();
    for (const { deliveryTag } of ahead) stream.ack(deliveryTag);
    stream.send();
    return ahead.length;
  }

  async exchange(settlements: readonly Settlement[], room: number): Promise<Delivery[]> {
    if (this.#closing.signal.aborted) throw this.#context.receiving.unavailable(this.#closing.signal.reason);
    if (settlements.length > 0) await this.#settle(settlements);
    return room > 0 ? await this.#fetch(room) : [];
  }

  async arrival(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#closing.signal.aborted) return;
    this.#arrivals++;
    try {
      const streams = await this.#streams.all();
      await Promise.all(streams.map((stream) => stream.consume(1)));
      // A queue may have been deleted, or its channel closed, while the others were opened.
      const all = streams.every((stream) => this.#streams.of(stream.queue) === stream);
      if (all && !streams.some(({ size }) => size > 0)) await this.#woken(signal);
    } catch {
      // The connection is gone: whoever asks next is told.
    } finally {
      this.#arrivals--;
      this.#asked(false);
    }
    signal.throwIfAborted();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return;
    // What a broker that takes no messages keeps waiting stays with it.
    while (this.#settlings.size > 0 && this.#context.publishing.blocked === undefined) {
      if (!this.#context.publishing.ready || !this.#context.receiving.ready) break;
      await Promise.race([...this.#settlings, this.#woken()]).catch(() => {});
    }
    this.#closing.abort(new Error(`the receiver of ${this.#options.worker} is closed`));
    this.#wake();
    this.#unwatch();
    if (this.#timer !== undefined) this.#context.options.clock.cancel(this.#timer);
    if (this.#streams.open().some(({ counted }) => counted)) await this.#pause();
    await this.#streams.close();
    this.#context.closed();
  }

  async #settle(settlements: readonly Settlement[]): Promise<void> {
    const turn = ++this.#exchanges;
    const plain: Settling[] = [];
    const rest: Settling[] = [];
    let goesBack = false;
    for (const settlement of settlements) {
      const held = this.#held.get(settlement.delivery.tag as number);
      // Settled before, twice in this batch, or lost.
      if (held === undefined || held.turn === turn) continue;
      held.turn = turn;
      const settling = { settlement, held };
      goesBack ||= ["return", "restore", "again"].includes(settlement.outcome);
      if (this.#messages.isPlain(settling)) plain.push(settling);
      else rest.push(settling);
    }
    // Otherwise what goes back, and what was sent ahead of time, would only come here again.
    if (goesBack) await this.#pause();
    const givenBack = this.#finish(plain);
    if (rest.length > 0) await this.#publishAndFinish(rest);
    await Promise.all([...givenBack].map((stream) => stream.returned()));
    // Whoever waits for an arrival has no consumer any more, and what went back may be all that there is.
    if (goesBack) this.#wake();
  }

  /** Acknowledges, or gives back; tells to which queues. */
  #finish(settled: readonly Settling[]): Set<QueueStream> {
    const streams = new Set<QueueStream>();
    const givenBack = new Set<QueueStream>();
    for (const { settlement: { outcome }, held } of settled) {
      if (!this.#held.delete(held.tag)) continue;
      const { stream, deliveryTag } = held;
      streams.add(stream);
      if (outcome === "return" && !stream.counted) {
        stream.giveBack(deliveryTag);
        givenBack.add(stream);
      } else {
        stream.ack(deliveryTag);
      }
    }
    for (const stream of streams) {
      stream.send();
      this.#streams.settled(stream);
    }
    return givenBack;
  }

  /** Waits for it, unless the broker takes no messages: then it goes on by itself when it does again. */
  async #publishAndFinish(rest: readonly Settling[]): Promise<void> {
    while (this.#waiting >= MOST_WAITING) await this.#woken();
    const isHeld = ({ tag }: Held) => this.#held.has(tag);
    const { publishing } = this.#context;
    this.#waiting += rest.length;
    let done = false;
    const settling: Promise<void> = this.#messages.publish(rest, isHeld, this.#closing.signal)
      .then((published) => void this.#finish(published))
      .finally(() => {
        done = true;
        this.#waiting -= rest.length;
        this.#settlings.delete(settling);
        if (this.#waiting + rest.length >= MOST_WAITING) this.#wake();
      });
    settling.catch(() => {});
    this.#settlings.add(settling);
    while (!done && publishing.blocked === undefined) await Promise.race([settling, this.#woken()]);
  }

  async #fetch(room: number): Promise<Held[]> {
    const taken: Held[] = [];
    this.#demand += room;
    try {
      await this.#bury();
      for (let first = true;; first = false) {
        this.#take(room, taken);
        if (taken.length === room || (first && taken.length > 0 && room < MANY)) break;
        const more = this.#demand < MANY
          ? await this.#askFor(room - taken.length)
          : await this.#letCome(room - taken.length);
        await this.#bury();
        if (more) continue;
        this.#take(room, taken);
        break;
      }
    } catch (error) {
      // What it has got already is not lost with the error.
      if (taken.length === 0) throw this.#context.receiving.unavailable(error);
    } finally {
      this.#asked(this.#demand >= MANY);
      this.#demand -= room;
    }
    return taken;
  }

  /** Takes what has come, the queues in turn. */
  #take(room: number, taken: Held[]): void {
    const before = taken.length;
    takeTurns(this.#options.queues, this.#turn++, room - before, (queue, most) => {
      return this.#streams.of(queue)?.take(most, taken) ?? 0;
    });
    for (let i = before; i < taken.length; i++) this.#held.set(taken[i].tag, taken[i]);
  }

  /** Asks queues for a message each until one has come; false when there is none in any. */
  async #askFor(room: number): Promise<boolean> {
    const streams = await this.#streams.all();
    for (let asked = 0; asked < streams.length;) {
      const some = Array.from(
        { length: Math.min(room, streams.length - asked) },
        (_, i) => streams[(this.#turn + asked + i) % streams.length],
      );
      asked += some.length;
      const came = await Promise.all(some.map((stream) => stream.get()));
      if (came.includes(true)) return true;
    }
    return streams.some(({ size }) => size > 0);
  }

  /** Lets the broker send, until each queue's share is here or it has no more; false when none has any. */
  async #letCome(room: number): Promise<boolean> {
    const streams = await this.#streams.all();
    const { clock } = this.#context.options;
    // With one queue there is nothing to be fair to, and what comes ahead of time is there when it is asked for.
    const more = streams.length === 1 ? this.#demand : 0;
    await Promise.all(streams.map((stream) => stream.consume(this.#demand, more)));
    const share = Math.ceil(room / streams.length);
    const missing = () => streams.filter((stream) => stream.size < share && !stream.dry);
    for (let quiet = 0; quiet < PATIENCE && missing().length > 0;) {
      const timer = clock.after(QUIET, () => this.#wake());
      const before = this.#lastTag;
      await this.#woken();
      clock.cancel(timer);
      this.#closing.signal.throwIfAborted();
      if (this.#lastTag !== before) quiet = 0;
      else if (++quiet > 0) await Promise.all(missing().map((stream) => stream.look()));
    }
    return streams.some(({ size }) => size > 0);
  }

  /** Somebody has asked for messages: what was sent ahead of time may wait for a moment, then it goes back. */
  #asked(many: boolean): void {
    const { clock } = this.#context.options;
    this.#lastAsked = clock.monotonic();
    if (many) this.#lastAskedMany = this.#lastAsked;
    this.#timer ??= this.#closing.signal.aborted ? undefined : clock.after(KEEP, () => this.#look());
  }

  /** Whether room is asked for as much as it was; if not, others may have more of it. */
  #look(): void {
    const { clock } = this.#context.options;
    this.#timer = undefined;
    if (this.#closing.signal.aborted) return;
    const now = clock.monotonic();
    const idle = this.#demand === 0 && this.#arrivals === 0 && now - this.#lastAsked >= KEEP;
    const slow = this.#demand < MANY && now - this.#lastAskedMany >= KEEP && this.#hasMany();
    if (idle || slow) this.#pause().catch(() => {});
    if (!idle) this.#timer = clock.after(KEEP, () => this.#look());
  }

  #hasMany(): boolean {
    return this.#streams.open().some(({ size }) => size > MANY);
  }

  /** Lets the broker send no more, and gives back what it has sent ahead of time. */
  async #pause(): Promise<void> {
    await Promise.all(this.#streams.open().map((stream) => this.#giveBackAhead(stream)));
  }

  async #giveBackAhead(stream: QueueStream): Promise<void> {
    // A channel that is gone has nothing to give back any more.
    const ahead = await stream.pause().catch(() => []);
    if (ahead.length === 0) return;
    if (!stream.counted) {
      for (const { deliveryTag } of ahead) stream.giveBack(deliveryTag);
      return await stream.returned();
    }
    const settling = ahead.map((held) => ({
      held,
      settlement: { delivery: held, outcome: "return" as const },
    }));
    for (const { held } of settling) this.#held.set(held.tag, held);
    await this.#publishAndFinish(settling);
  }

  /** Puts away what can't be handed out. */
  async #bury(): Promise<void> {
    while (this.#burying !== undefined) await this.#burying.catch(() => {});
    if (this.#refused.length === 0) return;
    const refused = this.#refused;
    this.#burying = this.#messages.bury(refused).finally(() => this.#burying = undefined);
    await this.#burying;
    this.#refused = this.#refused.slice(refused.length);
    for (const { stream, deliveryTag, reason, text, replyTo } of refused) {
      stream.ack(deliveryTag);
      this.#options.events.dead(stream.queue, reason, text === undefined ? undefined : { text, replyTo });
    }
    for (const { stream } of refused) stream.send();
  }

  /** A channel is gone, and all that came through it is the broker's again. */
  #ended(stream: QueueStream, why: string | undefined): void {
    this.#refused = this.#refused.filter((refused) => refused.stream !== stream);
    const lost = [...stream.held.values()];
    for (const { tag } of lost) this.#held.delete(tag);
    if (lost.length > 0) this.#options.events.lost(lost);
    if (why !== undefined) this.#options.events.trouble(`queue ${stream.queue}: ${remedy(why)}`);
    this.#wake();
  }

  #wake(): void {
    for (const wake of [...this.#wakers]) wake();
  }

  /** Resolves when something has come or changed. */
  #woken(signal?: AbortSignal): Promise<void> {
    if (signal?.aborted || this.#closing.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        this.#wakers.delete(wake);
        signal?.removeEventListener("abort", wake);
        resolve();
      };
      this.#wakers.add(wake);
      signal?.addEventListener("abort", wake, { once: true });
    });
  }
}

function remedy(why: string): string {
  if (!why.includes("timed out")) return why;
  return `${why}; a task ran for longer than RabbitMQ waits for an acknowledgement: it runs again. Raise RabbitMQ's ` +
    `consumer_timeout, or acknowledge such tasks early (acksLate: false)`;
}
