/** The producer: the sending end of the messages of a task's id, in a task, at its caller, or anywhere else. */
import { systemClock } from "../clock.ts";
import { END, lineName } from "./channel.ts";
import { MAX_MESSAGES, messageText, TTL } from "./message.ts";
import { openChannels } from "./open.ts";
import { type ChannelOptions, flowOptions } from "./options.ts";
import { Outflow, type WaitOptions } from "./outflow.ts";

/** What a {@linkcode Producer} is made with. */
export interface ProducerOptions extends ChannelOptions {
  /** Messages that may wait to be read. Default 10,000. */
  readonly maxMessages?: number;
  /** What becomes of more: the sender waits for room, or the oldest ones are dropped. Default `"wait"`. */
  readonly whenFull?: "wait" | "drop-oldest";
}

/**
 * Sends messages to whoever reads those of an id: a {@linkcode Consumer}, a task (`ctx.messages()`), a caller
 * (`result.messages()`), or ten lines of Python. It connects when it first sends, and its connection, which all producers
 * and consumers of one URL share, closes by itself soon after its last use, or at once by {@linkcode Producer.close}.
 *
 * @example
 * ```ts no-eval
 * import { Producer, uid } from "celeriac";
 *
 * const id = uid();
 * const producer = new Producer(id, { url: "redis://localhost:6379/0" });
 * await producer.sendMessage({ step: 1 });
 * await producer.sendMessages([{ step: 2 }, { step: 3 }]);
 * await producer.end();
 * await producer.close();
 * ```
 */
export class Producer<Message = unknown> implements AsyncDisposable {
  /** The id that its messages belong to: a task's, or any other. */
  readonly id: string;
  readonly #options: ProducerOptions;
  readonly #flow: Outflow;
  #closed = false;

  /**
   * Reads the options; nothing is connected yet.
   *
   * @throws {RangeError} For numbers that can't be.
   * @throws {BadUrlError}
   */
  constructor(id: string, options: ProducerOptions) {
    this.id = id;
    this.#options = options;
    const { direction = "to-client", url, clock = systemClock } = options;
    const { maxMessages = MAX_MESSAGES, whenFull = "wait", ttl = TTL } = options;
    if (!(maxMessages >= 1)) throw new RangeError(`maxMessages is ${maxMessages}: it takes 1 or more`);
    const line = lineName(id, direction);
    const open = async () => (await openChannels(url, clock)).writer(line, { maxMessages, whenFull, ttl });
    this.#flow = new Outflow(line, open, flowOptions(options));
  }

  /**
   * Sends one message: any value that JSON can carry, and what celeriac adds to it (big integers, dates, bytes). Resolves
   * when it is stored. Messages of one tick go out as one batch, in their order.
   *
   * @param options Seconds, or a signal, that end the waiting for room; by default it has no end.
   * @throws {UnserializableError}
   * @throws {ChannelFullError} When there was no room in time.
   * @throws {BrokerUnavailableError} When the broker was away for 10 seconds. The message may be stored all the same.
   */
  sendMessage(message: Message, options?: WaitOptions): Promise<void> {
    return this.sendMessages([message], options);
  }

  /** The same for many messages, which are stored in their order and may be more than there is room for. */
  async sendMessages(messages: readonly Message[], options?: WaitOptions): Promise<void> {
    await this.#send(messages.map(messageText), options);
  }

  /** Says that nothing follows: `for await` at the other end ends when all that was sent before is read. */
  async end(options?: WaitOptions): Promise<void> {
    await this.#send([END], options);
  }

  /** Waits until all is sent, and closes the connection unless others of this process use it. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#flow.idle();
    const { url, clock = systemClock } = this.#options;
    await openChannels(url, clock).then((store) => store.rest(), () => {});
  }

  /** The same as {@linkcode Producer.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #send(texts: readonly string[], options?: WaitOptions): Promise<void> {
    if (this.#closed) throw new Error(`the producer of ${this.id} was closed`);
    return this.#flow.send(texts, options);
  }
}
