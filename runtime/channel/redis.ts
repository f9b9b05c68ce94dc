/** Channels on Redis: a plain list a line, so that RPUSH and BLPOP from any language are the other end. */
import { uid } from "../protocol/uid.ts";
import type { Argument, ConnectionOptions } from "../transport/redis/connection.ts";
import { placeOf, SHARED } from "../transport/redis/cluster/place_of.ts";
import { readRedisUrl, type RedisPlace } from "../transport/redis/place.ts";
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
import { dropScript, keysOf, releaseScript, roomScript, takeScript } from "./redis/scripts.ts";

export class RedisChannels implements ChannelStore {
  readonly name: string;
  readonly #place: RedisPlace;
  readonly #link: Lent<RedisLink>;

  /** @throws {BadUrlError} */
  constructor(url: string, options: ConnectionOptions) {
    // In a cluster all lines stand in one slot, so that one pair of connections reaches them.
    this.#place = placeOf(readRedisUrl(url), SHARED);
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
  readonly keys: readonly string[];
  readonly #link: Lent<RedisLink>;

  constructor(link: Lent<RedisLink>, list: string) {
    this.#link = link;
    this.keys = keysOf(list);
  }

  get pushes(): boolean {
    return this.#link.value?.pushes ?? false;
  }

  watch(wake: () => void): () => void {
    const unwatch = this.#link.borrow().watch(this.keys[0], wake);
    return () => {
      unwatch();
      this.#link.giveBack();
    };
  }

  /** What the connection is asked by `work`. */
  ask(work: (link: RedisLink) => Promise<unknown[]>): Promise<unknown[]> {
    return this.#link.use(work);
  }

  /** Tells this process of a change that it has made itself. */
  changed(): void {
    this.#link.value?.changed(this.keys[0]);
  }
}

class RedisWriter extends RedisLine implements LineWriter {
  readonly #limits: LineLimits;
  readonly #ttl: number;
  /** For how many texts there was room after the last push; undefined where it is not known whether that was done. */
  #room: number | undefined;

  constructor(link: Lent<RedisLink>, list: string, limits: LineLimits) {
    super(link, list);
    this.#limits = limits;
    this.#ttl = Math.ceil(limits.ttl * 1000);
  }

  async push(sender: string, first: number, texts: readonly string[]): Promise<number> {
    const { maxMessages, whenFull } = this.#limits;
    const waits = whenFull === "wait";
    let room = this.#room;
    // Far from full what others have sent meanwhile found room as well.
    if (room === undefined || waits && 2 * room < maxMessages) {
      const answer = await this.ask((link) => link.run(roomScript, [...this.keys, sender, maxMessages]));
      const [last, present] = answer[0] as number[];
      if (last >= first) {
        this.#room = present;
        this.changed();
        return last - first + 1;
      }
      room = present;
    }
    const count = waits ? Math.min(texts.length, room) : texts.length;
    if (count <= 0) return 0;
    this.#room = undefined;
    room = await this.#send(sender, first, count < texts.length ? texts.slice(0, count) : texts);
    if (!waits && room < 0) {
      await this.ask((link) => link.run(dropScript, [...this.keys, maxMessages]));
      room = 0;
    }
    this.#room = room;
    this.changed();
    return count;
  }

  /** Gives for how many more there is room. */
  async #send(sender: string, first: number, texts: readonly string[]): Promise<number> {
    const [list, held, , sent] = this.keys;
    const keep = (key: string): [string, ...Argument[]] =>
      this.#ttl > 0 ? ["pexpire", key, this.#ttl] : ["persist", key];
    const [length, inHeld] = await this.ask((link) =>
      link.transact([
        ["rpush", list, ...texts],
        ["llen", held],
        ["hset", sent, sender, first + texts.length - 1],
        keep(list),
        keep(sent),
      ])
    ) as number[];
    return this.#limits.maxMessages - length - inHeld;
  }
}

class RedisReader extends RedisLine implements LineReader {
  readonly #token = uid();
  readonly #ttl: number;
  readonly #takenOver: () => Error;
  #opened = false;
  /** How many batches it has had. */
  #batch = 0;
  /** How many messages the last one had. */
  #count = 0;

  constructor(link: Lent<RedisLink>, list: string, ttl: number, takenOver: () => Error) {
    super(link, list);
    this.#ttl = Math.ceil(ttl * 1000);
    this.#takenOver = takenOver;
  }

  async take(most: number): Promise<string[]> {
    const batch = this.#batch + 1;
    const args = [...this.keys, this.#token, this.#opened ? 0 : 1, batch, most, this.#ttl];
    const [count, found] = await this.ask((link) =>
      link.run(takeScript, args, ["lrange", this.keys[1], 0, most - 1])
    ) as [number, string[]];
    // The second is where another reader came between the two commands.
    if (count === -1 || found.length < count) throw this.#takenOver();
    // There is room, or another reader.
    if (this.#count > 0 || !this.#opened) this.changed();
    this.#count = count;
    if (count > 0) this.#batch = batch;
    this.#opened = true;
    return found.length > count ? found.slice(0, count) : found;
  }

  async release(done: number): Promise<void> {
    if (!this.#opened) return;
    const args = [...this.keys, this.#token, this.#batch, this.#count - done, this.#ttl];
    await this.ask((link) => link.run(releaseScript, args));
    this.#opened = false;
    this.changed();
  }
}
