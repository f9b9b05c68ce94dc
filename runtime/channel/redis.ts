/** Channels on Redis: a plain list a line, so that RPUSH and BLPOP from any language are the other end. */
import { uid } from "../protocol/uid.ts";
import type { ConnectionOptions } from "../transport/redis/connection.ts";
import { readRedisUrl, type RedisPlace } from "../transport/redis/place.ts";
import type { Script } from "../transport/redis/script.ts";
import {
  type ChannelStore,
  type LineEnd,
  type LineLimits,
  type LineReader,
  type LineWriter,
  takenOver,
} from "./channel.ts";
import { Lent } from "./lent.ts";
import { RedisLink } from "./redis/link.ts";
import { pushScript, releaseScript, takeScript } from "./redis/scripts.ts";

/** Bytes that one step reads, unless a single message is larger. */
const MOST_BYTES = 1024 * 1024;

export class RedisChannels implements ChannelStore {
  readonly name: string;
  readonly #place: RedisPlace;
  readonly #link: Lent<RedisLink>;

  /** @throws {BadUrlError} */
  constructor(url: string, options: ConnectionOptions) {
    this.#place = readRedisUrl(url);
    this.name = this.#place.name;
    this.#link = new Lent(() => new RedisLink(this.#place, options));
  }

  writer(line: string, limits: LineLimits): LineWriter {
    return new RedisWriter(this.#link, this.#place.keyPrefix + line, limits);
  }

  reader(line: string, ttl: number): LineReader {
    const takenOverBy = () => takenOver(line, this.name);
    return new RedisReader(this.#link, this.#place.keyPrefix + line, ttl, takenOverBy);
  }

  keep(): () => void {
    return this.#link.keep();
  }

  rest(): Promise<void> {
    return this.#link.rest();
  }
}

class RedisLine implements LineEnd {
  readonly list: string;
  readonly #link: Lent<RedisLink>;

  constructor(link: Lent<RedisLink>, list: string) {
    this.#link = link;
    this.list = list;
  }

  get pushes(): boolean {
    return this.#link.value?.pushes ?? false;
  }

  watch(wake: () => void): () => void {
    const unwatch = this.#link.borrow().watch(this.list, wake);
    return () => {
      unwatch();
      this.#link.giveBack();
    };
  }

  run(script: Script, keys: number, args: (string | number)[]): Promise<unknown> {
    return this.#link.use((link) => link.run(script, keys, args));
  }

  /** Tells this process of a change that it has made itself. */
  changed(): void {
    this.#link.value?.changed(this.list);
  }
}

class RedisWriter extends RedisLine implements LineWriter {
  readonly #limits: readonly number[];

  constructor(link: Lent<RedisLink>, list: string, { maxMessages, whenFull, ttl }: LineLimits) {
    super(link, list);
    this.#limits = [maxMessages, whenFull === "wait" ? 0 : 1, Math.ceil(ttl * 1000)];
  }

  async push(sender: string, first: number, texts: readonly string[]): Promise<number> {
    const args = [
      this.list,
      `${this.list}.sent`,
      `${this.list}.held`,
      sender,
      first,
      ...this.#limits,
      ...texts,
    ];
    const stored = await this.run(pushScript, 3, args) as number;
    if (stored > 0) this.changed();
    return stored;
  }
}

class RedisReader extends RedisLine implements LineReader {
  readonly #token = uid();
  readonly #keys: readonly string[];
  readonly #ttl: number;
  readonly #takenOver: () => Error;
  #opened = false;
  /** How many batches it has had. */
  #batch = 0;
  /** Whether it has one in hand. */
  #holds = false;

  constructor(link: Lent<RedisLink>, list: string, ttl: number, takenOver: () => Error) {
    super(link, list);
    this.#keys = [list, `${list}.held`, `${list}.reader`];
    this.#ttl = Math.ceil(ttl * 1000);
    this.#takenOver = takenOver;
  }

  async take(most: number): Promise<string[]> {
    const batch = this.#batch + 1;
    const args = [...this.#keys, this.#token, this.#opened ? 0 : 1, batch, most, MOST_BYTES, this.#ttl];
    const [isTaken, ...texts] = await this.run(takeScript, 3, args) as [number, ...string[]];
    if (isTaken) throw this.#takenOver();
    // There is room, or another reader.
    if (this.#holds || !this.#opened) this.changed();
    this.#holds = texts.length > 0;
    if (this.#holds) this.#batch = batch;
    this.#opened = true;
    return texts;
  }

  async release(done: number): Promise<void> {
    if (!this.#opened) return;
    await this.run(releaseScript, 3, [...this.#keys, this.#token, this.#batch, done, this.#ttl]);
    this.#opened = false;
    this.changed();
  }
}
