/**
 * One connection to a RabbitMQ, kept open: it comes back by itself, with backoff and jitter, at the next of its servers.
 * What was under way when it went is refused, never sent a second time.
 */
import type { Socket } from "node:net";
import { type Channel, type ChannelModel, type ConfirmChannel, connect } from "amqplib";
import { type Clock, orAborted, sleep } from "../../clock.ts";
import { withResolvers } from "../../platform.ts";
import { BrokerUnavailableError } from "../transport.ts";
import { readBigIntegers } from "./big_integers.ts";
import { gatherWrites } from "./one_write.ts";
import type { AmqpPlace, AmqpServer } from "./place.ts";
import { reasonOf, type Refusal, replyCode } from "./refusal.ts";

export interface ConnectionOptions {
  readonly clock: Clock;
  /** From 0 up to 1, for the jitter of reconnecting. */
  readonly random: () => number;
}

/** Hears when a connection comes and goes. */
export interface ConnectionListener {
  /** It is there (again), and is a new one for the server: no channels, no consumers. */
  ready?(): void;
  /** It is gone; `why` may change while it stays away, and is told again then. */
  gone?(why: string): void;
  /** The server takes no messages any more, but all else; or, without a reason, takes them again. */
  blocked?(reason: string | undefined): void;
}

const CONNECT_TIMEOUT = 5_000;
const CLOSE_TIMEOUT = 1_000;
const LONGEST_BACKOFF = 2_000;

/** What amqplib's inner connection is written to; not documented. */
interface Inner {
  readonly stream?: Socket;
}

export class AmqpConnection {
  readonly place: AmqpPlace;
  readonly #options: ConnectionOptions;
  readonly #listeners = new Set<ConnectionListener>();
  readonly #closing = new AbortController();
  #model: ChannelModel | undefined;
  #keeping: Promise<void> | undefined;
  /** The round of tries that is under way, or the next one. */
  #round: PromiseWithResolvers<void> = withResolvers();
  #server = 0;
  #wasReady = false;
  #refusal: Refusal | undefined;
  #blocked: string | undefined;

  constructor(place: AmqpPlace, options: ConnectionOptions) {
    this.place = place;
    this.#options = options;
    this.#round.promise.catch(() => {});
  }

  /** Whether it can be used now. */
  get ready(): boolean {
    return this.#model !== undefined;
  }

  /** Why the server takes no messages at the moment (its memory or disk is full), or undefined when it does. */
  get blocked(): string | undefined {
    return this.#blocked;
  }

  /** Tells `listener` of what happens from now on; the result takes it off again. */
  watch(listener: ConnectionListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Resolves when the connection is there. When it is not to be had now, it goes on trying in the background.
   * @throws {BrokerUnavailableError} What the round of tries met that is under way, or the next one.
   */
  connect(signal?: AbortSignal): Promise<void> {
    if (this.#closing.signal.aborted) return Promise.reject(this.unavailable());
    if (this.ready) return Promise.resolve();
    this.#keeping ??= this.#keep();
    return orAborted(this.#round.promise, signal);
  }

  /** A new channel. @throws {BrokerUnavailableError} */
  channel(): Promise<Channel> {
    return this.#open((model) => model.createChannel());
  }

  /** A new channel on which the server confirms what is published. @throws {BrokerUnavailableError} */
  confirmChannel(): Promise<ConfirmChannel> {
    return this.#open((model) => model.createConfirmChannel());
  }

  /**
   * Does something on a channel of its own, which a refusal may close.
   * @throws {BrokerUnavailableError} When the connection went meanwhile; the server's refusals as they are.
   */
  async once<T>(run: (channel: Channel) => Promise<T>): Promise<T> {
    const channel = await this.channel();
    let value: T;
    try {
      value = await run(channel);
    } catch (error) {
      if (replyCode(error) === undefined) throw this.unavailable(error);
      throw error;
    }
    await channel.close().catch(() => {});
    return value;
  }

  /** The error of what could not be done because this connection is away. */
  unavailable(cause: unknown = this.#refusal?.cause): BrokerUnavailableError {
    if (cause instanceof BrokerUnavailableError) return cause;
    const why = this.#closing.signal.aborted
      ? "this connection was closed"
      : this.#refusal?.why ?? "the connection was lost";
    // Once it has let us in, a refusal may be a matter of the moment (a password being changed).
    const permanent = !this.#wasReady && this.#refusal?.permanent === true;
    return new BrokerUnavailableError(`${this.place.name}: ${why}`, { cause, permanent });
  }

  /** Closes it once what was sent is there, waiting for no longer than a second. */
  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new Error("closed"));
    this.#round.reject(this.unavailable());
    const model = this.#model;
    if (model !== undefined) {
      const giveUp = new AbortController();
      await Promise.race([
        model.close().catch(() => {}),
        new Promise((resolve) => model.once("close", resolve)),
        sleep(this.#options.clock, CLOSE_TIMEOUT, giveUp.signal).catch(() => {}),
      ]);
      giveUp.abort();
      destroy(model);
    }
    await this.#keeping;
    this.#listeners.clear();
  }

  async #open<T extends Channel>(create: (model: ChannelModel) => Promise<T>): Promise<T> {
    const model = this.#model;
    if (model === undefined) throw this.unavailable();
    try {
      const channel = await create(model);
      // Whoever uses the channel hears of its end by "close"; without this an error would end the process.
      channel.on("error", () => {});
      return channel;
    } catch (error) {
      throw this.unavailable(error);
    }
  }

  /** Connects, waits for the end of that connection, connects again, until it is closed or of no use. */
  async #keep(): Promise<void> {
    const { clock, random } = this.#options;
    const { signal } = this.#closing;
    for (let failures = 0; !signal.aborted;) {
      try {
        const model = await this.#tryServers();
        failures = 0;
        await this.#serve(model);
      } catch {
        failures++;
        const error = this.unavailable();
        this.#renewRound().reject(error);
        for (const listener of [...this.#listeners]) listener.gone?.(this.#refusal!.why);
        if (error.permanent) break;
      }
      const pause = failures === 0 ? 0 : Math.min(20 * 2 ** (failures - 1), LONGEST_BACKOFF);
      await sleep(clock, pause * (0.5 + random() / 2), signal).catch(() => {});
    }
    this.#keeping = undefined;
  }

  #renewRound(): PromiseWithResolvers<void> {
    const round = this.#round;
    this.#round = withResolvers();
    this.#round.promise.catch(() => {});
    if (this.#closing.signal.aborted) this.#round.reject(this.unavailable());
    return round;
  }

  /** Tries each server once, the one that served last first. */
  async #tryServers(): Promise<ChannelModel> {
    const { servers } = this.place;
    for (let tries = 0; tries < servers.length; tries++) {
      const server = servers[this.#server % servers.length];
      try {
        const model = await open(server);
        if (!this.#closing.signal.aborted) return model;
        // What is ended by us is no error that anybody has to hear of.
        model.on("error", () => {});
        destroy(model);
        break;
      } catch (error) {
        this.#refusal = reasonOf(error as Error);
        this.#server++;
      }
    }
    throw this.#refusal ?? new Error("closed");
  }

  /** Resolves when this connection has ended. */
  #serve(model: ChannelModel): Promise<void> {
    return new Promise((resolve) => {
      let why: Error | undefined;
      model.on("error", (error: Error) => why ??= error);
      model.on("close", (error?: Error) => {
        this.#model = undefined;
        this.#blocked = undefined;
        this.#refusal = reasonOf(why ?? error ?? new Error("the connection was lost"));
        destroy(model);
        for (const listener of [...this.#listeners]) listener.gone?.(this.#refusal.why);
        resolve();
      });
      model.on("blocked", (reason: string) => this.#setBlocked(reason));
      model.on("unblocked", () => this.#setBlocked(undefined));
      readBigIntegers(model.connection);
      const { stream } = model.connection as Inner;
      if (stream !== undefined) gatherWrites(stream);
      this.#model = model;
      this.#wasReady = true;
      this.#refusal = undefined;
      this.#renewRound().resolve();
      for (const listener of [...this.#listeners]) listener.ready?.();
    });
  }

  #setBlocked(reason: string | undefined): void {
    this.#blocked = reason;
    for (const listener of [...this.#listeners]) listener.blocked?.(reason);
  }
}

function open(server: AmqpServer): Promise<ChannelModel> {
  return connect({
    protocol: server.tls === undefined ? "amqp" : "amqps",
    hostname: server.host,
    port: server.port,
    username: server.username,
    password: server.password,
    vhost: encodeURIComponent(server.vhost),
    heartbeat: server.heartbeat,
  }, {
    ...server.tls,
    noDelay: true,
    keepAlive: true,
    timeout: CONNECT_TIMEOUT,
    clientProperties: { connection_name: "celeriac" },
  });
}

/** Ends a connection at once; harmless when it has ended. */
function destroy(model: ChannelModel): void {
  (model.connection as Inner).stream?.destroy();
}
