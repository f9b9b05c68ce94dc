/** Channels on RabbitMQ: a queue a line, so that any client of AMQP is the other end. */
import type { Clock } from "../clock.ts";
import type { ConnectionOptions } from "../transport/amqp/connection.ts";
import { type AmqpPlace, readAmqpUrl } from "../transport/amqp/place.ts";
import { AmqpLink } from "./amqp/link.ts";
import { AmqpReader } from "./amqp/reader.ts";
import {
  type ChannelStore,
  type LineLimits,
  type LineReader,
  type LineWriter,
  takenOver,
} from "./channel.ts";
import { Lent } from "./lent.ts";

export class AmqpChannels implements ChannelStore {
  readonly name: string;
  readonly #clock: Clock;
  readonly #link: Lent<AmqpLink>;

  /** @throws {BadUrlError} */
  constructor(url: string, options: ConnectionOptions) {
    const place: AmqpPlace = readAmqpUrl(url);
    this.name = place.name;
    this.#clock = options.clock;
    this.#link = new Lent(() => new AmqpLink(place, options));
  }

  writer(line: string, limits: LineLimits): LineWriter {
    return new AmqpWriter(this.#link, line, limits);
  }

  reader(line: string, ttl: number): LineReader {
    return new AmqpReader(this.#link, line, ttl, this.#clock, () => takenOver(line, this.name));
  }

  keep(): () => void {
    return this.#link.keep();
  }

  rest(): Promise<void> {
    return this.#link.rest();
  }
}

class AmqpWriter implements LineWriter {
  /** A server does not say when there is room in a queue. */
  readonly pushes = false;
  readonly #link: Lent<AmqpLink>;
  readonly #queue: string;
  readonly #limits: LineLimits;
  /** For how many texts there was room when it was last looked, less what was sent since. */
  #room = -1;

  constructor(link: Lent<AmqpLink>, queue: string, limits: LineLimits) {
    this.#link = link;
    this.#queue = queue;
    this.#limits = limits;
  }

  watch(): () => void {
    this.#link.borrow();
    return () => this.#link.giveBack();
  }

  push(sender: string, first: number, texts: readonly string[]): Promise<number> {
    const { maxMessages, whenFull, ttl } = this.#limits;
    return this.#link.use(async (link) => {
      const waits = whenFull === "wait";
      // Far from full what others have sent meanwhile found room as well.
      if (2 * this.#room < maxMessages) {
        this.#room = maxMessages - (await link.ask(this.#queue, ttl)).messageCount;
      }
      const count = waits ? Math.min(texts.length, this.#room) : texts.length;
      if (count <= 0) return 0;
      const room = this.#room - count;
      this.#room = -1;
      // What was published before, and its confirmation lost, has the same ids; its reader leaves it out.
      await link.publish(this.#queue, texts.slice(0, count), (i) => `${sender}:${first + i}`);
      if (room < 0) await link.drop(this.#queue, -room);
      this.#room = Math.max(0, room);
      return count;
    });
  }
}
