/** What a task sends, as its caller reads it: until the task has ended and all of it is read. */
import type { Consumer } from "../channel/consumer.ts";

/** What it asks of the result that it belongs to. */
export interface ResultMessagesOptions<Message> {
  readonly consumer: Consumer<Message>;
  /** Resolves when the task has ended. @throws When that can't be known. */
  readonly ended: (signal: AbortSignal) => Promise<unknown>;
  /** Closes the consumer. */
  readonly close: () => Promise<void>;
  /** Ends the reading, with its reason. */
  readonly signal?: AbortSignal;
}

export class ResultMessages<Message> implements AsyncIterableIterator<Message, undefined> {
  readonly #options: ResultMessagesOptions<Message>;
  readonly #left = new AbortController();
  readonly #ended = new AbortController();
  /** Ends a wait for a message. */
  readonly #waiting: AbortSignal;
  #failure: { readonly error: unknown } | undefined;
  #isOver = false;

  constructor(options: ResultMessagesOptions<Message>) {
    const { signal } = this.#options = options;
    this.#waiting = signal ? AbortSignal.any([signal, this.#ended.signal]) : this.#ended.signal;
    options.ended(this.#left.signal).then(() => this.#ended.abort(), (error) => {
      this.#failure = { error };
      this.#ended.abort();
    });
  }

  /** The next message. */
  next(): Promise<IteratorResult<Message, undefined>> {
    const message = this.#isOver ? undefined : this.#options.consumer.shift();
    return message === undefined ? this.#wait() : Promise.resolve({ done: false, value: message });
  }

  /** Reads no more: what was not read is left to the next reader. */
  async return(): Promise<IteratorResult<Message, undefined>> {
    this.#isOver = true;
    this.#left.abort();
    await this.#options.close();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #wait(): Promise<IteratorResult<Message, undefined>> {
    if (this.#isOver) return { done: true, value: undefined };
    let message: Message | undefined;
    try {
      message = await this.#get();
    } catch (error) {
      await this.return();
      throw error;
    }
    return message === undefined ? await this.return() : { done: false, value: message };
  }

  async #get(): Promise<Message | undefined> {
    const { consumer, signal } = this.#options;
    const ended = this.#ended.signal;
    try {
      if (!ended.aborted) return await consumer.get({ signal: this.#waiting });
    } catch (error) {
      if (!ended.aborted || signal?.aborted) throw error;
    }
    if (this.#failure !== undefined) throw this.#failure.error;
    // Its messages were stored before its result.
    return await consumer.get({ timeout: 0, signal });
  }
}
