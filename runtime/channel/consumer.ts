/** The consumer: the reading end of the messages of a task's id, at its caller, in a task, or anywhere else. */
import { systemClock } from "../clock.ts";
import { END, lineName } from "./channel.ts";
import { Intake, over } from "./intake.ts";
import { messageOf, TTL } from "./message.ts";
import { openChannels } from "./open.ts";
import { type ChannelOptions, flowOptions } from "./options.ts";
import type { WaitOptions } from "./outflow.ts";

/** What a {@linkcode Consumer} is made with. */
export type ConsumerOptions = ChannelOptions;

/**
 * Reads the messages of an id, in the order in which they were sent. An id has one consumer a direction at a time: a new
 * one takes over from the former, and gets what that had not done with once more. A message counts as done with when the
 * next one is asked for.
 *
 * It connects when it first waits, and its connection, which all producers and consumers of one URL share, closes by itself
 * soon after its last use, or at once by {@linkcode Consumer.close}.
 *
 * @example
 * ```ts no-eval
 * import { Consumer, uid } from "celeriac";
 *
 * const id = uid(); // and tell it to whoever is to send
 * const consumer = new Consumer<{ step: number }>(id, { url: "redis://localhost:6379/0", pollInterval: 0.5 });
 * const first = await consumer.get({ timeout: 5 }); // undefined when none came
 * for await (const { step } of consumer) console.log(step);
 * await consumer.close();
 * ```
 */
export class Consumer<Message = unknown> implements AsyncIterable<Message>, AsyncDisposable {
  /** The id that its messages belong to: a task's, or any other. */
  readonly id: string;
  readonly #options: ConsumerOptions;
  readonly #intake: Intake;
  readonly #closing = new AbortController();
  /** The signal that a wait was last given, and one that aborts with that or with the closing. */
  #either: { readonly given: AbortSignal; readonly both: AbortSignal } | undefined;
  #ended = false;
  #releasing: Promise<void> | undefined;

  /**
   * Reads the options; nothing is connected yet.
   *
   * @throws {RangeError} For numbers that can't be.
   * @throws {BadUrlError}
   */
  constructor(id: string, options: ConsumerOptions) {
    this.id = id;
    this.#options = options;
    const { direction = "to-client", url, ttl = TTL, clock = systemClock } = options;
    const open = async () => (await openChannels(url, clock)).reader(lineName(id, direction), ttl);
    this.#intake = new Intake(open, flowOptions(options));
  }

  /** Whether the sender has said that nothing follows, and all before that is read. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * The next message; undefined when none came in time, or when the stream has ended ({@linkcode Consumer.ended}).
   *
   * @param options Seconds to wait, 0 for what is there now, by default for ever; a signal ends the waiting.
   * @throws {ChannelTakenError} When another consumer has taken over.
   * @throws {BrokerUnavailableError} When the broker can't be reached at first; later its return is waited for.
   * @throws The signal's reason.
   */
  get(options: WaitOptions = {}): Promise<Message | undefined> {
    const message = this.shift();
    return message === undefined ? this.#wait(options) : Promise.resolve(message);
  }

  /**
   * The next message, if one was read ahead and so is at hand.
   *
   * @internal
   */
  shift(): Message | undefined {
    const text = this.#ended ? undefined : this.#intake.shift();
    if (text === END) this.#end();
    else if (text !== undefined) return messageOf(text) as Message;
    return undefined;
  }

  /** Waits for one message, and gives it with those that are there besides, at most `max`; an empty list as `get` does. */
  async getMany(max: number, options: WaitOptions = {}): Promise<Message[]> {
    if (!(max >= 1)) throw new RangeError(`getMany of ${max} messages: it takes 1 or more`);
    const deadline = this.#deadline(options);
    for (;;) {
      const texts = this.#ended ? [] : this.#intake.shiftMany(max);
      const end = texts.indexOf(END);
      if (end >= 0) {
        this.#intake.unshift(texts.length - end - 1);
        texts.length = end;
        this.#end();
      }
      if (texts.length > 0) return texts.map((text) => messageOf(text) as Message);
      if (this.#ended || !await this.#fill(options, deadline)) return [];
    }
  }

  /** Its messages until the stream ends. Leaving the loop early leaves the rest to be read. */
  [Symbol.asyncIterator](): AsyncIterator<Message, undefined> {
    const next = (): Promise<IteratorResult<Message, undefined>> => {
      const message = this.shift();
      if (message !== undefined) return Promise.resolve({ done: false, value: message });
      return this.#wait({}).then((value) =>
        value === undefined ? { done: true, value: undefined } : { done: false, value }
      );
    };
    return { next };
  }

  /**
   * Ends the waiting, leaves what was not read to the next consumer, and closes the connection unless others of this
   * process use it.
   */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new Error(`the consumer of ${this.id} was closed`));
    // What a broker that does not answer now has not heard of comes again.
    await over(this.#releasing ??= this.#intake.release(), systemClock, 0).catch(() => {});
    const { url, clock = systemClock } = this.#options;
    await openChannels(url, clock).then((store) => store.rest(), () => {});
  }

  /** The same as {@linkcode Consumer.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #wait(options: WaitOptions): Promise<Message | undefined> {
    const deadline = this.#deadline(options);
    for (;;) {
      if (this.#ended || !await this.#fill(options, deadline)) return undefined;
      const message = this.shift();
      if (message !== undefined) return message;
    }
  }

  #end(): void {
    this.#ended = true;
    // Whoever reads this id later is not to see the end again. If the broker is away now, it does.
    this.#releasing = this.#intake.release();
    this.#releasing.catch(() => {});
  }

  #deadline({ timeout = Infinity }: WaitOptions): number {
    const { clock = systemClock } = this.#options;
    if (!(timeout >= 0)) throw new RangeError(`timeout is ${timeout}: it takes seconds`);
    return clock.monotonic() + timeout * 1000;
  }

  async #fill({ signal }: WaitOptions, deadline: number): Promise<boolean> {
    const { clock = systemClock } = this.#options;
    const closing = this.#closing.signal;
    closing.throwIfAborted();
    const timeout = Math.max(0, deadline - clock.monotonic()) / 1000;
    if (signal === undefined) return await this.#intake.fill({ timeout, signal: closing });
    if (this.#either?.given !== signal) {
      this.#either = { given: signal, both: AbortSignal.any([signal, closing]) };
    }
    return await this.#intake.fill({ timeout, signal: this.#either.both });
  }
}
