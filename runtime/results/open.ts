/**
 * From a result backend's URL to its store, before the first step of a task's way. Each kind of store is imported when
 * a URL first names it.
 */
import { type Clock, systemClock } from "../clock.ts";
import { withSqlite } from "../transport/sqlite/availability.ts";
import { BadUrlError, kindOf, maskUrl, schemeOf } from "../transport/url.ts";
import type { ResultStore } from "./result_store.ts";

/** Where results go, of settings that say so. */
export interface ResultPlaces {
  readonly brokerUrl: string;
  readonly resultBackend: string | null;
}

/**
 * The URL of the result store: the broker's, unless settings name another; `rpc://` is the broker's own (Celery).
 * @throws {BadUrlError} For `rpc://` beside a broker that is no RabbitMQ.
 */
export function resultUrl({ brokerUrl, resultBackend }: ResultPlaces): string {
  if (resultBackend === null) return brokerUrl;
  if (!/^rpc:/i.test(resultBackend)) return resultBackend;
  if (isAmqp(brokerUrl)) return brokerUrl;
  throw new BadUrlError(
    `${maskUrl(resultBackend)}: results by rpc:// are messages of a RabbitMQ, and the broker is ${
      maskUrl(brokerUrl)
    }: ` +
      `leave the result backend out, so that results go to the broker's own store, or give its URL`,
  );
}

/** Whether a URL leads to a RabbitMQ: then results go to callers, not to a store that anybody can ask. */
export function isAmqp(url: string): boolean {
  return /^(amqps?|pyamqp):/i.test(url);
}

/** What a store is opened with. */
export interface StoreOptions {
  readonly clock?: Clock;
  /** The queue in which the caller waits for results, for a store that sends them there. */
  readonly replyTo?: string;
}

/**
 * The store for a URL (a broker's URL names the store that belongs to it), not connected yet.
 * @throws {BadUrlError} For a scheme that no store has, or a URL that its store can't read.
 */
export async function openResultStore(url: string, options: StoreOptions = {}): Promise<ResultStore> {
  const complete = { ...options, clock: options.clock ?? systemClock };
  const scheme = schemeOf(url);
  switch (kindOf(scheme)) {
    case "memory":
      return (await import("./memory.ts")).openMemoryResults(url, complete);
    case "sqlite":
      return (await withSqlite(url, () => import("./sqlite.ts"))).openSqliteResults(url, complete);
    case "redis":
      return (await import("./redis.ts")).openRedisResults(url, complete);
    case "cluster":
      return (await import("./redis_cluster.ts")).openClusterResults(url, complete);
    case "amqp":
      return (await import("./rpc.ts")).openRpcResults(url, complete);
    default:
      throw new BadUrlError(
        `${maskUrl(url)}: there is no result store "${scheme}": write sqlite:PATH, redis://HOST:PORT/DB, ` +
          `rediss://HOST:PORT/DB, redis+socket://PATH, redis+sentinel://, redis+cluster://, amqp://HOST/VHOST, rpc:// or memory:`,
      );
  }
}
