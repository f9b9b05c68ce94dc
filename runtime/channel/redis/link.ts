/**
 * The two connections by which a process sends and reads all its messages on one Redis. Nobody waits at the server: a look
 * at a line that finds it empty, or full, is remembered there (client tracking), and the next change of that line by
 * anybody, a plain RPUSH too, sends one word to the second connection. So ten thousand consumers cost two connections.
 */
import {
  type Argument,
  type ConnectionOptions,
  isServersAnswer,
  RedisConnection,
} from "../../transport/redis/connection.ts";
import type { RedisPlace } from "../../transport/redis/place.ts";
import type { Script } from "../../transport/redis/script.ts";
import { RedisSubscriber } from "../../transport/redis/subscriber.ts";

/** Keys of a line. */
const KEYS = 4;
const INVALIDATIONS = "__redis__:invalidate";

export class RedisLink {
  readonly #commands: RedisConnection;
  readonly #subscriber: RedisSubscriber;
  readonly #watchers = new Map<string, Set<() => void>>();
  readonly #hear = (key: string) => this.changed(key.replace(/\.(reader|held)$/, ""));
  /** The subscriber's connection that tracking on this connection was pointed to. */
  #trackedBy: number | undefined;
  #arming: Promise<void> | undefined;
  /** The server has no tracking, or not for us. */
  #refused = false;

  constructor(place: RedisPlace, options: ConnectionOptions) {
    this.#commands = new RedisConnection(place, options);
    this.#subscriber = new RedisSubscriber(place, options);
    const anew = () => {
      this.#trackedBy = undefined;
      this.#wakeAll();
    };
    this.#commands.watch({ ready: anew, gone: anew });
    this.#subscriber.onceMore(anew);
  }

  /** Whether changes are told now. */
  get pushes(): boolean {
    return this.#trackedBy !== undefined && this.#trackedBy === this.#subscriber.id;
  }

  /** Calls `wake` after the next change of a list, or of its reader, that a script has looked at since. */
  watch(key: string, wake: () => void): () => void {
    let watchers = this.#watchers.get(key);
    if (watchers === undefined) this.#watchers.set(key, watchers = new Set());
    watchers.add(wake);
    return () => {
      watchers.delete(wake);
      if (watchers.size === 0 && this.#watchers.get(key) === watchers) this.#watchers.delete(key);
    };
  }

  /** Tells of a change; what this process itself changes the server does not tell it. */
  changed(key: string): void {
    if (key === "") return this.#wakeAll();
    const watchers = this.#watchers.get(key);
    if (watchers === undefined) return;
    for (const wake of watchers) wake();
  }

  /**
   * Runs a script; the server tells of the next change to what it has read. `args` begin with a line's four keys.
   *
   * @param then A command that is sent right behind it. The answers come as a pair.
   * @throws {BrokerUnavailableError}
   */
  async run(script: Script, args: Argument[], then?: [string, ...Argument[]]): Promise<unknown[]> {
    await this.#ready();
    try {
      return await this.#tracked("evalsha", [script.sha, KEYS, ...args], then);
    } catch (error) {
      if (!(error instanceof Error && error.message.includes("NOSCRIPT"))) throw error;
      return await this.#tracked("eval", [script.lua, KEYS, ...args], then);
    }
  }

  /** Does all of these commands or none. @throws {BrokerUnavailableError} */
  async transact(commands: readonly [string, ...Argument[]][]): Promise<unknown[]> {
    await this.#ready();
    // Sent together, so that no other command of this connection comes between them.
    this.#commands.send("multi", []).catch(() => {});
    for (const [name, ...args] of commands) this.#commands.send(name, args).catch(() => {});
    const answers = await this.#commands.send("exec", []) as unknown[];
    for (const answer of answers) if (answer instanceof Error) throw answer;
    return answers;
  }

  async close(): Promise<void> {
    await Promise.all([this.#commands.close(), this.#subscriber.close()]);
  }

  async #ready(): Promise<void> {
    if (!this.#commands.ready) await this.#commands.connect();
    if (!this.pushes && !this.#refused) await this.#arm();
  }

  async #tracked(command: string, args: Argument[], then?: [string, ...Argument[]]): Promise<unknown[]> {
    // Sent together here, too.
    if (this.pushes) {
      this.#commands.send("client", ["caching", "yes"]).catch(() => this.#trackedBy = undefined);
    }
    const answer = this.#commands.send(command, args);
    if (then === undefined) return [await answer];
    const [name, ...rest] = then;
    return await Promise.all([answer, this.#commands.send(name, rest)]);
  }

  /** Has the server tell the subscriber of changes. Where it can't now, those who wait look by themselves. */
  #arm(): Promise<void> {
    return this.#arming ??= this.#armOnce().finally(() => this.#arming = undefined);
  }

  async #armOnce(): Promise<void> {
    try {
      if (this.#subscriber.id === undefined) await this.#subscriber.subscribe([INVALIDATIONS], this.#hear);
      const { id } = this.#subscriber;
      if (id === undefined) return;
      await this.#commands.send("client", ["tracking", "on", "redirect", id, "optin", "noloop"]);
      this.#trackedBy = id;
    } catch (error) {
      // A subscriber that is gone, which its own connection has not noticed yet, comes back.
      const { message } = error as Error;
      if (isServersAnswer(error) && !message.includes("does not exist")) this.#refused = true;
    }
  }

  #wakeAll(): void {
    for (const watchers of this.#watchers.values()) for (const wake of watchers) wake();
  }
}
