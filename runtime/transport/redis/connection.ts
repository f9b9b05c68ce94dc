/**
 * One connection to a Redis, kept open: what is asked of it while it is away is refused at once, never queued nor sent
 * a second time, because a script that ran twice would fetch twice. It comes back by itself, with backoff and jitter.
 */
import { Command, Redis } from "ioredis";
import type { Clock } from "../../clock.ts";
import { sleep } from "../../clock.ts";
import { BrokerUnavailableError } from "../transport.ts";
import { connectorTo, type FindingConnector } from "./finder.ts";
import type { RedisPlace } from "./place.ts";
import type { Script } from "./script.ts";
import { reasonOf, type Refusal } from "./refusal.ts";

/** An argument of a command; numbers are written in decimal. */
export type Argument = string | number;

export interface ConnectionOptions {
  readonly clock: Clock;
  /** From 0 up to 1, for the jitter of reconnecting. */
  readonly random: () => number;
  /** Milliseconds without a byte, while answers are due, after which it counts as dead. Default 30,000; 0: never. */
  readonly silence?: number;
}

/** Whether a failed command was refused by the server itself, as opposed to one that never got there or back. */
export function isServersAnswer(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof Error && error.cause.name === "ReplyError";
}

/** Hears when a connection comes and goes. */
export interface ConnectionListener {
  /** It is there (again), and is a new one for the server: no tracking, no subscriptions. */
  ready?(): void;
  /** It is gone; `why` may change while it stays away, and is told again then. */
  gone?(why: string): void;
}

/** Who waits for the connection. */
interface Waiter {
  /** It is told of the end of each try after this one. */
  readonly after: number;
  resolve(): void;
  reject(error: Error): void;
}

const READY_TIMEOUT = 5_000;
const CLOSE_TIMEOUT = 1_000;
const LONGEST_BACKOFF = 2_000;

export class RedisConnection {
  readonly place: RedisPlace;
  readonly #clock: Clock;
  readonly #redis: Redis;
  readonly #listeners = new Set<ConnectionListener>();
  readonly #waiting = new Set<Waiter>();
  /** Where the server moves: how it is found, and the end of hearing that it has moved. */
  #connector: FindingConnector | undefined;
  #unfollow: (() => void) | undefined;
  /** Tries to connect so far. */
  #tries = 0;
  #refusal: Refusal | undefined;
  #refusedIn = 0;
  #wasReady = false;
  #closed = false;

  constructor(place: RedisPlace, options: ConnectionOptions) {
    this.place = place;
    this.#clock = options.clock;
    this.#redis = new Redis({
      ...(place.finder !== undefined && {
        Connector: connectorTo(place.finder, place.tls, (connector) => this.#connector = connector),
      }),
      ...(place.socket === undefined ? { host: place.host, port: place.port } : { path: place.socket }),
      db: place.db,
      username: place.username,
      password: place.password,
      tls: place.tls,
      connectionName: "celeriac",
      lazyConnect: true,
      // RESP2: ioredis drops the pushes of client tracking under RESP3.
      protocol: 2,
      connectTimeout: READY_TIMEOUT,
      ...(options.silence !== 0 && { socketTimeout: options.silence ?? 30_000 }),
      enableOfflineQueue: false,
      autoResubscribe: false,
      autoResendUnfulfilledCommands: false,
      // With 0 every command that is unanswered when the connection goes is rejected; otherwise it would hang.
      maxRetriesPerRequest: 0,
      retryStrategy: (times) => this.#backoff(times, options.random),
      // After a failover the old master is a replica, and in a cluster keys move: find the server that has them now.
      reconnectOnError: ({ message }) =>
        /READONLY|with replica instances/.test(message) ||
        (place.finder !== undefined && message.startsWith("MOVED")),
    });
    this.#redis.on("error", (error: Error) => this.#refused(error));
    this.#redis.on("connecting", () => this.#tries++);
    this.#redis.on("ready", () => this.#ready());
    this.#redis.on("close", () => this.#gone());
  }

  /** Whether commands can be sent now. */
  get ready(): boolean {
    return this.#redis.status === "ready" && !this.#closed;
  }

  /** Changes with each new connection to the server. */
  get generation(): number {
    return this.#tries;
  }

  /** For subscriptions, which ioredis hands out as events. */
  get client(): Redis {
    return this.#redis;
  }

  /** Tells `listener` of what happens from now on; the result takes it off again. */
  watch(listener: ConnectionListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Resolves when the connection is there. When it is not to be had now, it goes on trying in the background.
   * @throws {BrokerUnavailableError} What the first try met.
   */
  connect(signal?: AbortSignal): Promise<void> {
    if (this.#closed) return Promise.reject(this.#unavailable());
    if (this.ready) return Promise.resolve();
    return new Promise<void>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const end = () => {
        this.#waiting.delete(waiter);
        signal?.removeEventListener("abort", abort);
      };
      const abort = () => {
        end();
        reject(signal?.reason);
      };
      const { status } = this.#redis;
      const waiter: Waiter = {
        // Between two tries it is the next one that counts, although the end of the last may not have been told yet.
        after: status === "connecting" || status === "connect" ? this.#tries - 1 : this.#tries,
        resolve: () => (end(), resolve()),
        reject: (error: Error) => (end(), reject(error)),
      };
      this.#waiting.add(waiter);
      signal?.addEventListener("abort", abort, { once: true });
      // What goes wrong comes as an event, with its cause; this promise says only "closed".
      if (status === "wait" || status === "end") this.#redis.connect().catch(() => {});
    });
  }

  /** Sends one command; texts of the answer are read as UTF-8. @throws {BrokerUnavailableError} */
  send(name: string, args: Argument[]): Promise<unknown> {
    return this.#execute(name, args, "utf8");
  }

  /** Sends one command and leaves texts of the answer as bytes. @throws {BrokerUnavailableError} */
  sendBytes(name: string, args: Argument[]): Promise<unknown> {
    return this.#execute(name, args, null);
  }

  /**
   * Runs a script. `args` are its keys and arguments, of which the first `keys` are keys.
   * @throws {BrokerUnavailableError} When it is not known whether it ran.
   */
  async run(script: Script, keys: number, args: Argument[]): Promise<unknown> {
    try {
      return await this.#execute("evalsha", [script.sha, keys, ...args], "utf8");
    } catch (error) {
      if (!(error instanceof Error && error.message.includes("NOSCRIPT"))) throw error;
      return this.#execute("eval", [script.lua, keys, ...args], "utf8");
    }
  }

  /** Closes it once what was sent is answered, waiting for no longer than a second. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#redis.status === "ready") {
      const giveUp = new AbortController();
      await Promise.race([
        this.#redis.quit().catch(() => {}),
        sleep(this.#clock, CLOSE_TIMEOUT, giveUp.signal).catch(() => {}),
      ]);
      giveUp.abort();
    }
    this.#unfollow?.();
    this.#redis.disconnect();
    for (const waiter of [...this.#waiting]) waiter.reject(this.#unavailable());
    this.#listeners.clear();
  }

  async #execute(name: string, args: Argument[], replyEncoding: "utf8" | null): Promise<unknown> {
    if (this.#closed) throw this.#unavailable();
    try {
      return await this.#redis.sendCommand(new Command(name, args as string[], { replyEncoding }));
    } catch (error) {
      throw this.#failure(name, error as Error);
    }
  }

  #failure(command: string, error: Error & { command?: unknown }): Error {
    if (error.name === "ReplyError") {
      // ioredis adds the whole command, messages and all, which is not for logs.
      delete error.command;
      const refusal = reasonOf(error);
      // What the server could not do now, it may be able to do later; anything else is a mistake of ours or in its data.
      if (refusal.expected) return this.#unavailable(refusal, error, refusal.permanent);
      return new Error(`${this.place.name} answered ${command}: ${error.message}`, { cause: error });
    }
    return this.#unavailable(this.#refusal, this.#refusal?.cause ?? error);
  }

  #unavailable(
    refusal: Refusal | undefined = this.#refusal,
    cause: Error | undefined = refusal?.cause,
    // Once it has let us in, a refusal may be a matter of the moment (a password being changed).
    permanent: boolean = !this.#wasReady && refusal?.permanent === true,
  ): BrokerUnavailableError {
    const why = this.#closed ? "this connection was closed" : refusal?.why ?? "it is not connected";
    return new BrokerUnavailableError(`${this.place.name}: ${why}`, { cause, permanent });
  }

  #backoff(times: number, random: () => number): number | null {
    if (this.#closed || (this.#refusal?.permanent === true && !this.#wasReady)) return null;
    return Math.min(20 * 2 ** (times - 1), LONGEST_BACKOFF) * (0.5 + random() / 2);
  }

  #refused(error: Error): void {
    // What else goes wrong in the same try comes of the first.
    if (this.#refusal?.permanent === true && this.#refusedIn === this.#tries) return;
    this.#refusedIn = this.#tries;
    this.#refusal = reasonOf(error);
    // ioredis goes on with database 0 when it is refused the one that was asked for.
    if (/DB index|invalid DB/.test(error.message)) this.#redis.disconnect(this.#wasReady);
  }

  #ready(): void {
    if (this.#closed || this.#redis.status !== "ready") return;
    this.#wasReady = true;
    this.#unfollow ??= this.place.finder?.follow((now) => this.#connector?.leaveFor(now));
    this.#refusal = undefined;
    for (const waiter of [...this.#waiting]) waiter.resolve();
    for (const listener of [...this.#listeners]) listener.ready?.();
  }

  #gone(): void {
    this.#refusal ??= { why: "the connection was lost", permanent: false, expected: true };
    const error = this.#unavailable();
    for (const waiter of [...this.#waiting]) if (this.#tries > waiter.after) waiter.reject(error);
    for (const listener of [...this.#listeners]) listener.gone?.(this.#refusal.why);
  }
}
