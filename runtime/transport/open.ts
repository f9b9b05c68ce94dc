/**
 * From a broker's URL to its transport, before the first step of a task's way. Each kind of broker is imported when a
 * URL first names it, so that those that are not used cost nothing.
 */
import { systemClock } from "../clock.ts";
import { withSqlite } from "./sqlite/availability.ts";
import type { Transport, TransportOptions } from "./transport.ts";
import { BadUrlError, kindOf, maskUrl, schemeOf } from "./url.ts";

/** What a transport is opened with when nothing else is asked for. */
export const TRANSPORT_DEFAULTS: TransportOptions = {
  clock: systemClock,
  random: Math.random,
  lease: 15,
  visibilityTimeout: 3600,
  maxDeliveries: 5,
  maxMessageBytes: 16 * 1024 * 1024,
};

/**
 * The transport for a URL, not connected yet. Options that are not given (or undefined) have their defaults.
 * @throws {BadUrlError} For a scheme that no transport has, or a URL that its transport can't read.
 */
export async function openTransport(
  url: string,
  options: Partial<TransportOptions> = {},
): Promise<Transport> {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const complete: TransportOptions = { ...TRANSPORT_DEFAULTS, ...Object.fromEntries(given) };
  const scheme = schemeOf(url);
  switch (kindOf(scheme)) {
    case "memory":
      return (await import("./memory.ts")).openMemoryTransport(url, complete);
    case "sqlite":
      return (await withSqlite(url, () => import("./sqlite.ts"))).openSqliteTransport(url, complete);
    case "redis":
      return (await import("./redis.ts")).openRedisTransport(url, complete);
    case "cluster":
      return (await import("./redis/cluster/transport.ts")).openClusterTransport(url, complete);
    case "amqp":
      return (await import("./amqp.ts")).openAmqpTransport(url, complete);
    default:
      if (scheme === "withheld") {
        throw new BadUrlError(
          `a task with permissions of its own is not told the broker of its worker: name one, as in ` +
            `new App({ broker: "redis://localhost" }), and permit what that needs (permissions: { net: [...] })`,
        );
      }
      throw new BadUrlError(
        `${maskUrl(url)}: there is no broker "${scheme}": ` +
          `write sqlite:PATH, redis://HOST:PORT/DB, rediss://HOST:PORT/DB, redis+socket://PATH, ` +
          `redis+sentinel://, redis+cluster://, amqp://HOST/VHOST or memory:`,
      );
  }
}
