/**
 * From a result backend's URL to its store, before the first step of a task's way. Each kind of store is imported when
 * a URL first names it.
 */
import { type Clock, systemClock } from "../clock.ts";
import { withSqlite } from "../transport/sqlite/availability.ts";
import { BadUrlError, maskUrl, schemeOf } from "../transport/url.ts";
import type { ResultStore } from "./result_store.ts";

/**
 * The store for a URL (a broker's URL names the store that belongs to it), not connected yet.
 * @throws {BadUrlError} For a scheme that no store has, or a URL that its store can't read.
 */
export async function openResultStore(url: string, options: { clock?: Clock } = {}): Promise<ResultStore> {
  const complete = { clock: options.clock ?? systemClock };
  const scheme = schemeOf(url);
  switch (scheme) {
    case "memory":
      return (await import("./memory.ts")).openMemoryResults(url, complete);
    case "sqlite":
      return (await withSqlite(url, () => import("./sqlite.ts"))).openSqliteResults(url, complete);
    case "redis":
    case "rediss":
    case "redis+socket":
      return (await import("./redis.ts")).openRedisResults(url, complete);
    case "rpc":
    case "amqp":
    case "amqps":
    case "pyamqp":
      throw new BadUrlError(
        `${
          maskUrl(url)
        }: results over AMQP are not supported yet: set the result backend to redis:// or sqlite:PATH`,
      );
    default:
      throw new BadUrlError(
        `${maskUrl(url)}: there is no result store "${scheme}": ` +
          `write sqlite:PATH, redis://HOST:PORT/DB, rediss://HOST:PORT/DB, redis+socket://PATH or memory:`,
      );
  }
}
