/** What a producer and a consumer are told, and what they make of it. */
import { type Clock, systemClock } from "../clock.ts";
import type { Settings } from "../config/settings.ts";
import { workerSettings } from "../config/surroundings.ts";
import { BadUrlError, schemeOf } from "../transport/url.ts";
import type { Direction } from "./channel.ts";
import { TTL } from "./message.ts";
import type { FlowOptions } from "./outflow.ts";

/** Where messages are and which way they go. */
export interface ChannelOptions {
  /** As of a broker: `redis://HOST:PORT/DB`, `rediss://`, `redis+socket://PATH`, `sqlite:PATH` or `memory:`. */
  readonly url: string;
  /** `"to-client"`: the task sends, its caller reads. `"to-task"`: the other way round. Default `"to-client"`. */
  readonly direction?: Direction;
  /**
   * Seconds between two looks for what is new. Only where nothing can be pushed, as by a Redis whose user may not use
   * client tracking; anywhere else a message that comes is told at once. Default 0.5.
   */
  readonly pollInterval?: number;
  /** Seconds after the last message was sent for which all that wait are kept; 0 for ever. Default 86400, a day. */
  readonly ttl?: number;
  /** Time, for tests. */
  readonly clock?: Clock;
}

/** Where the messages of tasks are: beside their results, or with a store that has none in the broker. */
export function messagesUrl(
  { brokerUrl, resultBackend }: Pick<Settings, "brokerUrl" | "resultBackend">,
): string {
  return resultBackend === null || /^rpc:/i.test(resultBackend) ? brokerUrl : resultBackend;
}

/** Seconds for which a broker that is away is tried, as publishing a task is. */
const PATIENCE = 10;

/** @throws {RangeError} @throws {BadUrlError} For a `memory:` that would be another one than is meant. */
export function flowOptions(
  { url, pollInterval = 0.5, ttl = TTL, clock = systemClock }: ChannelOptions,
): FlowOptions {
  if (!(pollInterval > 0)) throw new RangeError(`pollInterval is ${pollInterval}: it takes seconds above 0`);
  if (!(ttl >= 0)) throw new RangeError(`ttl is ${ttl}: it takes seconds, 0 to keep messages for ever`);
  if (schemeOf(url) === "memory" && workerSettings().brokerUrl === url) {
    throw new BadUrlError(
      `${url} can't be reached from a task, which runs in a thread of its own: use ctx.send and ctx.messages`,
    );
  }
  return { clock, random: Math.random, pollInterval, patience: PATIENCE };
}
