/** The Redis end of a plain queue: its connections, LPUSH, and a BRPOP that survives them and can be taken back. */
import { type Clock, systemClock } from "../clock.ts";
import { RedisConnection } from "../transport/redis/connection.ts";
import { readRedisUrl, type RedisPlace } from "../transport/redis/place.ts";
import { BrokerUnavailableError } from "../transport/transport.ts";
import { openWithin } from "./connect.ts";

/** Milliseconds that a connection is kept for the next call; it keeps the process alive for as long. */
const KEPT = 100;
/** Milliseconds between two tries to end a wait at the server. */
const UNBLOCK = 10;

const clock: Clock = systemClock;
const random = Math.random;

/** Connections to one Redis: those that nobody uses are closed after a moment. */
class Connections {
  readonly #name: string;
  readonly #place: RedisPlace;
  readonly #idle = new Map<RedisConnection, unknown>();
  #shared: RedisConnection | undefined;
  #sharedBy = 0;

  constructor(name: string, place: RedisPlace) {
    this.#name = name;
    this.#place = place;
  }

  /** Calls `use` with a connection that others may use at the same time. */
  async share<T>(use: (connection: RedisConnection) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const connection = this.#shared ??= this.#take();
    this.#sharedBy++;
    try {
      await connection.connect(signal);
      return await use(connection);
    } finally {
      if (--this.#sharedBy === 0) {
        this.#shared = undefined;
        this.#keep(connection);
      }
    }
  }

  /** Calls `use` with a connection of its own. */
  async own<T>(use: (connection: RedisConnection) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const connection = this.#take();
    try {
      await connection.connect(signal);
      return await use(connection);
    } finally {
      // What ends a wait may reach the server once more than needed, and must not end somebody else's.
      if (signal?.aborted) void connection.close();
      else this.#keep(connection);
    }
  }

  #take(): RedisConnection {
    for (const [connection, timer] of this.#idle) {
      clock.cancel(timer);
      this.#idle.delete(connection);
      return connection;
    }
    // A consumer hears nothing for as long as there is no message.
    return new RedisConnection(this.#place, { clock, random, silence: 0 });
  }

  #keep(connection: RedisConnection): void {
    if (!connection.ready) return void connection.close();
    const timer = clock.after(KEPT, () => {
      this.#idle.delete(connection);
      void connection.close();
      if (this.#idle.size === 0 && this.#sharedBy === 0) known.delete(this.#name);
    });
    this.#idle.set(connection, timer);
  }
}

const known = new Map<string, Connections>();

/** In a cluster each queue is on a node of its own. */
function connectionsTo(url: string, queue: string): Connections {
  const name = /^rediss?\+cluster:/i.test(url) ? `${url} ${queue}` : url;
  let connections = known.get(name);
  if (connections === undefined) {
    const place = readRedisUrl(url);
    const finder = place.cluster?.finderFor(queue);
    known.set(name, connections = new Connections(name, finder ? { ...place, finder } : place));
  }
  return connections;
}

/** LPUSH. @throws {BrokerUnavailableError} @throws {BadUrlError} */
export async function push(queue: string, url: string, text: string): Promise<void> {
  await connectionsTo(url, queue).share((connection) => connection.send("lpush", [queue, text]));
}

/**
 * BRPOP, for `timeout` seconds, 0 for ever; undefined when nothing came. A connection that is lost meanwhile is made
 * again while there is time.
 *
 * @throws {BrokerUnavailableError}
 * @throws {BadUrlError}
 * @throws The signal's reason.
 */
export async function pop(
  queue: string,
  url: string,
  timeout: number,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const deadline = timeout === 0 ? Infinity : clock.monotonic() + timeout * 1000;
  const secondsLeft = () => (deadline - clock.monotonic()) / 1000;
  const connections = connectionsTo(url, queue);
  return await connections.own(async (connection) => {
    for (;;) {
      try {
        // 0 would wait for ever, so the last moment is a short one.
        const wait = deadline === Infinity ? 0 : Math.max(0.001, secondsLeft());
        return await popOnce(connections, connection, queue, wait, signal);
      } catch (error) {
        const again = error instanceof BrokerUnavailableError && !error.permanent && secondsLeft() > 0;
        if (!again || signal?.aborted) throw error;
        await openWithin(secondsLeft(), () => connection.connect(signal), { clock, random, signal });
      }
    }
  }, signal);
}

async function popOnce(
  connections: Connections,
  connection: RedisConnection,
  queue: string,
  wait: number,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const id = signal && Number(await connection.send("client", ["id"]));
  const waiting = { over: false };
  // To cut the connection would lose a message that is on its way; the server ends the wait instead.
  const stop = () => void unblock(connections, connection, id!, waiting);
  signal?.addEventListener("abort", stop, { once: true });
  try {
    signal?.throwIfAborted();
    const answer = await connection.send("brpop", [queue, wait.toFixed(3)]) as [string, string] | null;
    if (answer !== null) return answer[1];
    signal?.throwIfAborted();
    return undefined;
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    waiting.over = true;
    signal?.removeEventListener("abort", stop);
  }
}

/** Has the server end the wait of a connection. It may not have begun yet, so this goes on until it is over. */
async function unblock(
  connections: Connections,
  connection: RedisConnection,
  id: number,
  waiting: { readonly over: boolean },
): Promise<void> {
  try {
    await connections.share(async (other) => {
      while (!waiting.over) {
        await other.send("client", ["unblock", id]);
        if (!waiting.over) await new Promise<void>((resolve) => void clock.after(UNBLOCK, resolve));
      }
    });
  } catch {
    // It may not, or cannot be reached: then the wait ends with its connection.
    await connection.close();
  }
}
