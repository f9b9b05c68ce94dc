/** The caller's ends of the messages of its tasks: opened when they are asked for, closed with the app. */
import { Consumer } from "../channel/consumer.ts";
import { openChannels } from "../channel/open.ts";
import { Producer } from "../channel/producer.ts";
import type { Clock } from "../clock.ts";

export class Messages {
  readonly #url: string;
  readonly #clock: Clock;
  readonly #consumers = new Set<Consumer>();
  readonly #producers = new Set<Producer>();
  #kept: Promise<() => void> | undefined;

  constructor(url: string, clock: Clock) {
    this.#url = url;
    this.#clock = clock;
  }

  /** Reads what a task sends; {@linkcode Messages.done} closes it. @throws {BadUrlError} */
  consumer(id: string): Consumer {
    const consumer = new Consumer(id, { url: this.#url, clock: this.#clock });
    this.#keep();
    this.#consumers.add(consumer);
    return consumer;
  }

  async done(consumer: Consumer): Promise<void> {
    this.#consumers.delete(consumer);
    await consumer.close();
  }

  /** Sends to a task. @throws {BadUrlError} */
  producer(id: string): Producer {
    const producer = new Producer(id, { url: this.#url, clock: this.#clock, direction: "to-task" });
    this.#keep();
    this.#producers.add(producer);
    return producer;
  }

  /** Ends the reading, sends what waits, and closes the connection. */
  async close(): Promise<void> {
    await Promise.all([...this.#consumers].map((consumer) => this.done(consumer)));
    await Promise.all([...this.#producers].map((producer) => producer.close()));
    this.#producers.clear();
    const kept = this.#kept;
    this.#kept = undefined;
    await kept?.then((release) => release(), () => {});
    if (kept !== undefined) {
      await openChannels(this.#url, this.#clock).then((store) => store.rest(), () => {});
    }
  }

  /** From the first message on the connection stays as long as the app does. */
  #keep(): void {
    this.#kept ??= openChannels(this.#url, this.#clock).then((store) => store.keep());
    this.#kept.catch(() => {});
  }
}
