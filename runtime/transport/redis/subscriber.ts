/**
 * A connection that only listens: to the channels of fanout exchanges, of results, and to the invalidations of client
 * tracking. What it is to listen to is remembered here and asked for again on each new connection.
 */
import { type ConnectionOptions, RedisConnection } from "./connection.ts";
import type { RedisPlace } from "./place.ts";

/** Hears of one message; `channel` is the one it was sent to. */
export type ChannelListener = (text: string, channel: string) => void;

/** Channels a command; a longer list would keep other clients of the server waiting. */
const BATCH = 1_000;

export class RedisSubscriber {
  readonly connection: RedisConnection;
  readonly #channels = new Map<string, Set<ChannelListener>>();
  readonly #patterns = new Map<string, Set<ChannelListener>>();
  readonly #again = new Set<() => void>();
  #settled: Promise<void> | undefined;
  #id: number | undefined;

  constructor(place: RedisPlace, options: ConnectionOptions) {
    this.connection = new RedisConnection(place, options);
    this.connection.watch({
      ready: () => this.#ready(),
      gone: () => {
        this.#id = undefined;
        this.#settled = undefined;
      },
    });
    this.connection.client.on("message", (channel: string, text: string) => {
      for (const listener of this.#channels.get(channel) ?? []) listener(text, channel);
    });
    this.connection.client.on("pmessage", (pattern: string, channel: string, text: string) => {
      for (const listener of this.#patterns.get(pattern) ?? []) listener(text, channel);
    });
  }

  /** The server's number for this connection, while it is there and listens to all that it should. */
  get id(): number | undefined {
    return this.#id;
  }

  /** Calls `run` each time when a new connection listens to all that it should. */
  onceMore(run: () => void): () => void {
    this.#again.add(run);
    return () => void this.#again.delete(run);
  }

  /** Opens it. @throws {BrokerUnavailableError} */
  async connect(signal?: AbortSignal): Promise<void> {
    await this.connection.connect(signal);
    await this.#settled;
  }

  /**
   * Listens to channels. When it resolves, nothing sent to them from then on is missed while the connection lasts.
   * @throws {BrokerUnavailableError} When it is away; it will listen once it is back all the same.
   */
  subscribe(channels: readonly string[], listener: ChannelListener): Promise<void> {
    return this.#add(this.#channels, "subscribe", channels, listener);
  }

  /** The same for every channel that matches one of `patterns`. @throws {BrokerUnavailableError} */
  subscribePatterns(patterns: readonly string[], listener: ChannelListener): Promise<void> {
    return this.#add(this.#patterns, "psubscribe", patterns, listener);
  }

  unsubscribe(channels: readonly string[], listener: ChannelListener): void {
    this.#remove(this.#channels, "unsubscribe", channels, listener);
  }

  unsubscribePatterns(patterns: readonly string[], listener: ChannelListener): void {
    this.#remove(this.#patterns, "punsubscribe", patterns, listener);
  }

  async close(): Promise<void> {
    this.#again.clear();
    await this.connection.close();
  }

  async #add(
    known: Map<string, Set<ChannelListener>>,
    command: "subscribe" | "psubscribe",
    names: readonly string[],
    listener: ChannelListener,
  ): Promise<void> {
    const fresh: string[] = [];
    for (const name of names) {
      const listeners = known.get(name);
      if (listeners === undefined) {
        known.set(name, new Set([listener]));
        fresh.push(name);
      } else {
        listeners.add(listener);
      }
    }
    // Names that were known may still be on their way; commands of one connection are answered in their order.
    await this.connect();
    await this.#ask(command, fresh.length > 0 ? fresh : names.slice(0, 1));
  }

  #remove(
    known: Map<string, Set<ChannelListener>>,
    command: "unsubscribe" | "punsubscribe",
    names: readonly string[],
    listener: ChannelListener,
  ): void {
    const idle: string[] = [];
    for (const name of names) {
      const listeners = known.get(name);
      if (listeners === undefined || !listeners.delete(listener) || listeners.size > 0) continue;
      known.delete(name);
      idle.push(name);
    }
    // When it is away there is nothing to take back: the next connection asks for what is known then.
    if (this.connection.ready) this.#ask(command, idle).catch(() => {});
  }

  async #ask(command: string, names: readonly string[]): Promise<void> {
    for (let at = 0; at < names.length; at += BATCH) {
      await this.connection.send(command, names.slice(at, at + BATCH));
    }
  }

  #ready(): void {
    const settled = this.#settle();
    this.#settled = settled;
    settled.catch(() => {});
  }

  async #settle(): Promise<void> {
    // Asked before anything is subscribed to: a subscriber may not ask.
    const id = await this.connection.send("client", ["id"]).catch(() => undefined);
    await this.#ask("subscribe", [...this.#channels.keys()]);
    await this.#ask("psubscribe", [...this.#patterns.keys()]);
    this.#id = id === undefined ? -1 : Number(id);
    for (const run of [...this.#again]) run();
  }
}
