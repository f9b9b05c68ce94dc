/**
 * From a URL to its channels. All that use one URL in this process share what this gives: on Redis two connections, however
 * many lines are waited for. Each kind is imported when a URL first names it.
 */
import type { Clock } from "../clock.ts";
import { withSqlite } from "../transport/sqlite/availability.ts";
import { BadUrlError, kindOf, maskUrl, schemeOf } from "../transport/url.ts";
import type { ChannelStore } from "./channel.ts";

/** By their URLs, for each clock: tests play several processes in one, each with a clock of its own. */
const known = new WeakMap<Clock, Map<string, Promise<ChannelStore>>>();
/** What is in memory is the process's, whoever asks. */
const inMemory = new Map<string, Promise<ChannelStore>>();

/**
 * The channels at a URL, not connected yet.
 * @throws {BadUrlError} For a scheme that no channels have, or a URL that they can't read.
 */
export function openChannels(url: string, clock: Clock): Promise<ChannelStore> {
  let stores = /^memory:/i.test(url) ? inMemory : known.get(clock);
  if (stores === undefined) known.set(clock, stores = new Map());
  let store = stores.get(url);
  if (store === undefined) {
    stores.set(url, store = open(url, clock));
    store.catch(() => stores.delete(url));
  }
  return store;
}

async function open(url: string, clock: Clock): Promise<ChannelStore> {
  const options = { clock, random: Math.random };
  const scheme = schemeOf(url);
  switch (kindOf(scheme)) {
    case "memory":
      return new (await import("./memory.ts")).MemoryChannels(url, clock);
    case "sqlite":
      return new (await withSqlite(url, () => import("./sqlite.ts"))).SqliteChannels(url, options);
    case "redis":
    case "cluster":
      return new (await import("./redis.ts")).RedisChannels(url, options);
    case "amqp":
      return new (await import("./amqp.ts")).AmqpChannels(url, options);
    default:
      throw new BadUrlError(
        `${maskUrl(url)}: there are no messages over "${scheme}": ` +
          `write redis://HOST:PORT/DB, rediss://HOST:PORT/DB, redis+socket://PATH, amqp://HOST:PORT/VHOST, sqlite:PATH or memory:`,
      );
  }
}
