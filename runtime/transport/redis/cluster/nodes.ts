/**
 * One connection to each master of a cluster, for commands that need no more than one key: publishing, and results. Each
 * goes to the node that has its key, and again to the next one where that node says that it has it no more.
 */
import { BrokerUnavailableError } from "../../transport.ts";
import type { Argument, ConnectionOptions } from "../connection.ts";
import { RedisConnection } from "../connection.ts";
import { NotFoundError, type ServerAddress } from "../finder.ts";
import type { RedisPlace } from "../place.ts";
import { awaitReplicas } from "../replicas.ts";
import type { Script } from "../script.ts";
import { type ClusterTopology, nameOf } from "./topology.ts";

/** How often a command is sent on to another node. */
const MOVES = 5;

/** What one call did on one node. */
interface Used {
  readonly connection: RedisConnection;
  readonly generation: number;
}

/** Sends the commands of one call, and knows where they went. */
export interface NodesCall {
  /** @throws {BrokerUnavailableError} */
  send(key: string, name: string, args: Argument[]): Promise<unknown>;
  /** Runs a script with one key. @throws {BrokerUnavailableError} */
  run(script: Script, key: string, args: Argument[]): Promise<unknown>;
}

export class ClusterNodes {
  readonly #place: RedisPlace;
  readonly #topology: ClusterTopology;
  readonly #options: ConnectionOptions;
  readonly #connections = new Map<string, RedisConnection>();
  readonly #unfollow: () => void;
  #closed = false;

  constructor(place: RedisPlace, topology: ClusterTopology, options: ConnectionOptions) {
    this.#place = place;
    this.#topology = topology;
    this.#options = options;
    this.#unfollow = topology.follow(() => this.#dropOthers());
  }

  /** Connects to all masters. @throws {BrokerUnavailableError} */
  async connect(signal?: AbortSignal): Promise<void> {
    await this.#known(() => this.#topology.refresh());
    await Promise.all(this.#topology.masters.map((master) => this.#to(master).connect(signal)));
  }

  /**
   * Has `work` send commands, which should go out together; resolves when all are answered and, where the URL asks for it,
   * replicas have confirmed what was written.
   * @throws {BrokerUnavailableError}
   * @throws {UnreplicatedError}
   */
  async call<T>(work: (call: NodesCall) => Promise<T>): Promise<T> {
    const used = new Map<RedisConnection, Used>();
    const on = async <R>(key: string, act: (connection: RedisConnection) => Promise<R>): Promise<R> => {
      for (let moves = 0;; moves++) {
        const connection = await this.#connected(key);
        used.set(connection, used.get(connection) ?? { connection, generation: connection.generation });
        try {
          return await act(connection);
        } catch (error) {
          const text = error instanceof Error && error.cause instanceof Error ? error.cause.message : "";
          const [, asking] = /^ASK \d+ (\S+)/.exec(text) ?? [];
          if (asking !== undefined) return await this.#ask(asking, act);
          if (!(error instanceof BrokerUnavailableError) || this.#closed) throw error;
          // Where a node is gone there may be another in its place by the next time.
          await this.#topology.refresh().catch(() => {});
          if (moves === MOVES || !text.startsWith("MOVED ")) throw error;
        }
      }
    };
    const result = await work({
      send: (key, name, args) => on(key, (connection) => connection.send(name, args)),
      run: (script, key, args) => on(key, (connection) => connection.run(script, 1, [key, ...args])),
    });
    const { replicas } = this.#place;
    if (replicas !== undefined) {
      await Promise.all(
        [...used.values()].map(({ connection, generation }) =>
          awaitReplicas(connection, replicas, generation)
        ),
      );
    }
    return result;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#unfollow();
    await Promise.all([...this.#connections.values()].map((connection) => connection.close()));
  }

  async #connected(key: string): Promise<RedisConnection> {
    const connection = this.#to(await this.#known(() => this.#topology.ownerOf(key)));
    if (connection.ready) return connection;
    try {
      await connection.connect();
    } catch (error) {
      await this.#topology.refresh().catch(() => {});
      throw error;
    }
    return connection;
  }

  /** A slot is on its way to another node, which has this key and takes a command for it by exception. */
  async #ask<R>(at: string, act: (connection: RedisConnection) => Promise<R>): Promise<R> {
    const colon = at.lastIndexOf(":");
    const connection = this.#to({ host: at.slice(0, colon), port: Number(at.slice(colon + 1)) });
    if (!connection.ready) await connection.connect();
    // Sent together, so that no other command of this connection comes between them.
    const [, answer] = await Promise.all([connection.send("asking", []), act(connection)]);
    return answer;
  }

  #to(address: ServerAddress): RedisConnection {
    const name = nameOf(address);
    let connection = this.#connections.get(name);
    if (connection === undefined) {
      const place = { ...this.#place, ...address, name: `${this.#place.name} (${name})` };
      this.#connections.set(name, connection = new RedisConnection(place, this.#options));
      if (this.#closed) void connection.close();
    }
    return connection;
  }

  /** Nodes that are no masters any more: what they still owe will not come. */
  #dropOthers(): void {
    const masters = new Set(this.#topology.masters.map(nameOf));
    for (const [name, connection] of this.#connections) {
      if (masters.has(name)) continue;
      this.#connections.delete(name);
      void connection.close();
    }
  }

  async #known<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      throw new BrokerUnavailableError(`${this.#place.name}: ${error.message}`, { cause: error });
    }
  }
}
