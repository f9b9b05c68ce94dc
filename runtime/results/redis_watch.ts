/**
 * The way of a result back to its caller on Redis: one connection that listens to the channels of all results that are
 * waited for. It listens first and asks for what is stored then, so that nothing falls between.
 */
import { type Clock, sleep } from "../clock.ts";
import type { ConnectionOptions } from "../transport/redis/connection.ts";
import type { RedisPlace } from "../transport/redis/place.ts";
import { RedisSubscriber } from "../transport/redis/subscriber.ts";
import { BrokerUnavailableError } from "../transport/transport.ts";
import type { ResultListener, ResultWatch } from "./result_store.ts";

/** Asks for what is stored of ids. */
type Fetch = (ids: readonly string[]) => Promise<(string | null)[]>;

/** Milliseconds until a question is asked again that could not be asked. */
const RETRY = 50;

/** All watches of one store. */
export class RedisResultWatches {
  readonly #subscriber: RedisSubscriber;
  readonly #prefix: string;
  readonly #clock: Clock;
  readonly #fetch: Fetch;
  readonly #open = new Set<RedisResultWatch>();

  constructor(
    place: RedisPlace,
    options: ConnectionOptions,
    prefix: string,
    fetch: Fetch,
  ) {
    this.#clock = options.clock;
    this.#subscriber = new RedisSubscriber(place, options);
    this.#prefix = prefix;
    this.#fetch = fetch;
    this.#subscriber.onceMore(() => this.askAgain());
  }

  /** Asks for all that is waited for: some of it may have been told and not heard. */
  askAgain(): void {
    for (const watch of this.#open) watch.askAgain();
  }

  open(listener: ResultListener): ResultWatch {
    const watch = new RedisResultWatch(
      this.#subscriber,
      this.#clock,
      this.#prefix,
      this.#fetch,
      listener,
      () => this.#open.delete(watch),
    );
    this.#open.add(watch);
    return watch;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open].map((watch) => watch[Symbol.asyncDispose]()));
    await this.#subscriber.close();
  }
}

/** Who waits until what was added has been asked for. */
interface Waiter {
  resolve(): void;
  reject(error: Error): void;
}

class RedisResultWatch implements ResultWatch {
  readonly #subscriber: RedisSubscriber;
  readonly #clock: Clock;
  readonly #prefix: string;
  readonly #fetch: Fetch;
  readonly #listener: ResultListener;
  readonly #closed: () => void;
  readonly #ids = new Set<string>();
  readonly #closing = new AbortController();
  #unasked = new Set<string>();
  #waiting: Waiter[] = [];
  #asking = false;
  /** Heard of since the question under way was sent: its answer may be older. */
  readonly #news = new Set<string>();
  readonly #hear = (text: string, channel: string) => {
    const id = channel.slice(this.#prefix.length);
    if (this.#asking) this.#news.add(id);
    this.#tell(id, text);
  };

  constructor(
    subscriber: RedisSubscriber,
    clock: Clock,
    prefix: string,
    fetch: Fetch,
    listener: ResultListener,
    closed: () => void,
  ) {
    this.#subscriber = subscriber;
    this.#clock = clock;
    this.#prefix = prefix;
    this.#fetch = fetch;
    this.#listener = listener;
    this.#closed = closed;
  }

  add(ids: readonly string[]): Promise<void> {
    if (this.#closing.signal.aborted || ids.length === 0) return Promise.resolve();
    for (const id of ids) {
      this.#ids.add(id);
      this.#unasked.add(id);
    }
    return new Promise<void>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#askSoon();
    });
  }

  remove(ids: readonly string[]): void {
    const known = ids.filter((id) => this.#ids.delete(id));
    for (const id of known) this.#unasked.delete(id);
    this.#subscriber.unsubscribe(known.map((id) => this.#prefix + id), this.#hear);
  }

  /** After a new connection: what was stored meanwhile was not heard. */
  askAgain(): void {
    for (const id of this.#ids) this.#unasked.add(id);
    if (this.#unasked.size > 0) this.#askSoon();
  }

  [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closing.signal.aborted) {
      this.remove([...this.#ids]);
      this.#closing.abort();
      for (const { resolve } of this.#waiting.splice(0)) resolve();
      this.#closed();
    }
    return Promise.resolve();
  }

  #tell(id: string, text: string): void {
    if (this.#ids.has(id)) this.#listener(id, text);
  }

  /** All that is added in this tick, or while the last question is under way, goes out as one. */
  #askSoon(): void {
    if (this.#asking) return;
    this.#asking = true;
    queueMicrotask(async () => {
      while (!this.#closing.signal.aborted && (this.#unasked.size > 0 || this.#waiting.length > 0)) {
        await this.#ask();
      }
      this.#asking = false;
    });
  }

  async #ask(): Promise<void> {
    const ids = [...this.#unasked];
    const waiting = this.#waiting;
    this.#unasked = new Set();
    this.#waiting = [];
    this.#news.clear();
    try {
      await this.#subscriber.subscribe(ids.map((id) => this.#prefix + id), this.#hear);
      const texts = await this.#fetch(ids);
      for (let i = 0; i < ids.length; i++) {
        const text = texts[i];
        if (text !== null && !this.#news.has(ids[i])) this.#tell(ids[i], text);
      }
      for (const { resolve } of waiting) resolve();
    } catch (error) {
      await this.#failed(ids, waiting, error as Error);
    }
  }

  /** The connections come back by themselves, and then all is asked for again; unless that is of no use. */
  async #failed(ids: readonly string[], waiting: Waiter[], error: Error): Promise<void> {
    if (this.#closing.signal.aborted) {
      for (const { resolve } of waiting) resolve();
    } else if (error instanceof BrokerUnavailableError && !error.permanent) {
      for (const id of ids) if (this.#ids.has(id)) this.#unasked.add(id);
      this.#waiting.unshift(...waiting);
      await sleep(this.#clock, RETRY, this.#closing.signal).catch(() => {});
    } else {
      for (const { reject } of waiting) reject(error);
    }
  }
}
