/**
 * A plain queue: a Redis list between any two programs, apart from tasks and their way. One LPUSHes, the other BRPOPs;
 * each message goes to one consumer. Ten lines of redis-py, or `redis-cli`, do on the other end.
 *
 * What stands on the list: a string is written as it is, any other value as JSON. What is read comes back parsed where
 * it is JSON, else as the text it is. So both ends may send words and values alike; a text that happens to be JSON
 * (`42`, `true`, `{"a": 1}`) comes back as what it says, as it does from Python's `json.loads`. Who wants texts and
 * nothing else reads with `text: true`.
 */
import { type Clock, systemClock } from "../clock.ts";
import { parsePythonJson, stringifyPythonJson } from "../protocol/python_json.ts";
import { RedisConnection } from "../transport/redis/connection.ts";
import { readRedisUrl } from "../transport/redis/place.ts";
import { BrokerUnavailableError } from "../transport/transport.ts";
import { openWithin } from "./connect.ts";

/** Where a message goes. */
export interface ProduceOptions {
  /** The list's name. */
  readonly queue: string;
  /** `redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]`, `rediss://...` or `redis+socket:///PATH`. */
  readonly url: string;
}

/** Where a message comes from, and how long to wait for it. */
export interface ConsumeOptions {
  /** The list's name. */
  readonly queue: string;
  /** `redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]`, `rediss://...` or `redis+socket:///PATH`. */
  readonly url: string;
  /** Seconds to wait, parts of one too; 0 waits for ever. Default 0. */
  readonly timeout?: number;
  /** Gives messages as the texts they are, unparsed. Default false. */
  readonly text?: boolean;
  /** Ends the wait. A message that came at the same moment is given back all the same: none is lost. */
  readonly signal?: AbortSignal;
}

/** Milliseconds that a connection is kept for the next call; it keeps the process alive for as long. */
const KEPT = 100;
/** Milliseconds between two tries to end a wait at the server. */
const UNBLOCK = 10;

const clock: Clock = systemClock;
const random = Math.random;

/** Connections of one URL: those that nobody uses are closed after a moment. */
class Connections {
  readonly #url: string;
  readonly #idle = new Map<RedisConnection, unknown>();
  #shared: RedisConnection | undefined;
  #sharedBy = 0;

  constructor(url: string) {
    this.#url = url;
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
    return new RedisConnection(readRedisUrl(this.#url), { clock, random, silence: 0 });
  }

  #keep(connection: RedisConnection): void {
    if (!connection.ready) return void connection.close();
    const timer = clock.after(KEPT, () => {
      this.#idle.delete(connection);
      void connection.close();
      if (this.#idle.size === 0 && this.#sharedBy === 0) known.delete(this.#url);
    });
    this.#idle.set(connection, timer);
  }
}

const known = new Map<string, Connections>();

function connectionsTo(url: string): Connections {
  let connections = known.get(url);
  if (connections === undefined) known.set(url, connections = new Connections(url));
  return connections;
}

/**
 * Puts one message to a plain queue. Calls that overlap share one connection.
 *
 * @example
 * ```ts no-eval
 * import { produce } from "celeriac";
 *
 * await produce({ order: 17 }, { queue: "orders", url: "redis://localhost:6379/0" });
 * ```
 * @throws {UnserializableError} For a value that JSON cannot carry.
 * @throws {BrokerUnavailableError}
 * @throws {BadUrlError}
 */
export async function produce(message: unknown, { queue, url }: ProduceOptions): Promise<void> {
  const text = typeof message === "string" ? message : stringifyPythonJson(message);
  await connectionsTo(url).share((connection) => connection.send("lpush", [queue, text]));
}

/**
 * Takes the oldest message from a plain queue, waiting for one if need be. Gives `undefined` when none came in time.
 * A connection that is lost during the wait is made again while there is time. As with every BRPOP, a message that is
 * on its way when a connection breaks is gone; who cannot do without it makes a task of it.
 *
 * @example
 * ```ts no-eval
 * import { consume } from "celeriac";
 *
 * const order = await consume({ queue: "orders", timeout: 5, url: "redis://localhost:6379/0" });
 * ```
 * @throws {BrokerUnavailableError} When the server is not to be reached at first, or not again in time.
 * @throws {BadUrlError}
 * @throws {RangeError} When the timeout is no number of seconds.
 * @throws The signal's reason.
 */
export async function consume(options: ConsumeOptions): Promise<unknown> {
  const { queue, url, timeout = 0, signal } = options;
  if (!(timeout >= 0)) throw new RangeError(`timeout is ${timeout}: it takes seconds, 0 to wait for ever`);
  signal?.throwIfAborted();
  const deadline = timeout === 0 ? Infinity : clock.monotonic() + timeout * 1000;
  const secondsLeft = () => (deadline - clock.monotonic()) / 1000;
  const connections = connectionsTo(url);
  const text = await connections.own(async (connection) => {
    for (;;) {
      try {
        // 0 would wait for ever, so the last moment is a short one.
        const wait = deadline === Infinity ? 0 : Math.max(0.001, secondsLeft());
        return await pop(connections, connection, queue, wait, signal);
      } catch (error) {
        const again = error instanceof BrokerUnavailableError && !error.permanent && secondsLeft() > 0;
        if (!again || signal?.aborted) throw error;
        await openWithin(secondsLeft(), () => connection.connect(signal), { clock, random, signal });
      }
    }
  }, signal);
  if (text === undefined || options.text) return text;
  try {
    return parsePythonJson(text);
  } catch {
    return text;
  }
}

async function pop(
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
