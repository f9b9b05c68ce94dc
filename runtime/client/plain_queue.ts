/**
 * A plain queue: a Redis list between any two programs, apart from tasks and their way. One LPUSHes, the other BRPOPs;
 * each message goes to one consumer. Ten lines of redis-py, or `redis-cli`, do on the other end.
 *
 * What stands on the list: a string is written as it is, any other value as JSON. What is read comes back parsed where
 * it is JSON, else as the text it is. So both ends may send words and values alike; a text that happens to be JSON
 * (`42`, `true`, `{"a": 1}`) comes back as what it says, as it does from Python's `json.loads`. Who wants texts and
 * nothing else reads with `text: true`.
 */
import { parsePythonJson, stringifyPythonJson } from "../protocol/python_json.ts";

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
  await (await redisList()).push(queue, url, text);
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
  const text = await (await redisList()).pop(queue, url, timeout, signal);
  if (text === undefined || options.text) return text;
  try {
    return parsePythonJson(text);
  } catch {
    return text;
  }
}

/** Loaded when first needed: the Redis client costs more than all else that a program which only has tasks loads. */
function redisList(): Promise<typeof import("./redis_list.ts")> {
  return import("./redis_list.ts");
}
