/**
 * Settle, and the way back to the caller, on Redis: Celery's keys and its channels of the same names.
 */
import type { Clock } from "../clock.ts";
import { RedisConnection } from "../transport/redis/connection.ts";
import { readRedisUrl, type RedisPlace } from "../transport/redis/place.ts";
import { RedisRevokedIds } from "../transport/redis/revoked_ids.ts";
import { storeScript } from "../transport/redis/store_script.ts";
import type { RevokedIds } from "../transport/revoked_ids.ts";
import { RedisChords } from "./redis/chords.ts";
import { RedisResultWatches } from "./redis_watch.ts";
import { groupKeyPrefix, resultKeyPrefix } from "./result_key.ts";
import type { ResultListener, ResultStore, ResultWatch, StoredResult } from "./result_store.ts";

/** Results that one script stores, and ids that one command asks for, at most. */
const BATCH = { store: 256, fetch: 1_000 };
/** Characters of results that one script stores at most. */
const LENGTH = 4 * 1024 * 1024;

/**
 * The result store of a Redis. Nothing is opened before it is needed.
 * @param url As `transport/redis/place.ts` reads it.
 * @throws {BadUrlError}
 */
export function openRedisResults(url: string, options: { readonly clock: Clock }): ResultStore {
  return new RedisResults(readRedisUrl(url), options.clock);
}

/** Celery's task keys on one Redis database. A transport on the same one stores results in the step that settles. */
export class RedisResults implements ResultStore {
  readonly name: string;
  /** The same for two stores, or a store and a transport, on one database. */
  readonly identity: string;
  readonly revoked: RevokedIds;
  readonly chords: RedisChords;
  readonly groups: RedisChords;
  readonly #connection: RedisConnection;
  readonly #watches: RedisResultWatches;
  readonly #prefix: string;

  constructor(place: RedisPlace, clock: Clock) {
    this.name = place.name;
    this.identity = place.identity;
    this.#prefix = resultKeyPrefix(place.keyPrefix);
    const options = { clock, random: Math.random };
    this.#connection = new RedisConnection(place, options);
    this.revoked = new RedisRevokedIds(async (script, key, args) => {
      if (!this.#connection.ready) await this.connect();
      return await this.#connection.run(script, 1, [key, ...args]);
    }, place.keyPrefix);
    const groupPrefix = groupKeyPrefix(place.keyPrefix);
    this.chords = this.groups = new RedisChords({
      keyOf: (groupId) => groupPrefix + groupId,
      together: true,
      run: async (script, _key, args) => {
        if (!this.#connection.ready) await this.connect();
        return await this.#connection.run(script, 0, args);
      },
      send: async (_key, command, args) => {
        if (!this.#connection.ready) await this.connect();
        return await this.#connection.send(command, args);
      },
    });
    this.#watches = new RedisResultWatches(place, options, this.#prefix, (ids) => this.fetch(ids));
  }

  connect(signal?: AbortSignal): Promise<void> {
    return this.#connection.connect(signal);
  }

  async store(results: readonly StoredResult[]): Promise<void> {
    const sent: Promise<unknown>[] = [];
    if (!this.#connection.ready) await this.connect();
    let args: (string | number)[] = [];
    let length = 0;
    for (const { id, text, ttl } of results) {
      if (args.length === BATCH.store * 3 || (length > 0 && length + text.length > LENGTH)) {
        sent.push(this.#connection.run(storeScript, 0, args));
        args = [];
        length = 0;
      }
      args.push(this.keyOf(id), Math.ceil(ttl), text);
      length += text.length;
    }
    if (args.length > 0) sent.push(this.#connection.run(storeScript, 0, args));
    await Promise.all(sent);
  }

  async fetch(ids: readonly string[]): Promise<(string | null)[]> {
    if (!this.#connection.ready) await this.connect();
    const asked = inParts(ids, BATCH.fetch).map((part) =>
      this.#connection.send("mget", part.map((id) => this.keyOf(id)))
    );
    return (await Promise.all(asked) as (string | null)[][]).flat();
  }

  async forget(ids: readonly string[]): Promise<void> {
    if (!this.#connection.ready) await this.connect();
    const parts = inParts(ids, BATCH.fetch);
    await Promise.all(parts.map((part) => this.#connection.send("unlink", part.map((id) => this.keyOf(id)))));
  }

  watch(listener: ResultListener): ResultWatch {
    return this.#watches.open(listener);
  }

  keyOf(id: string): string {
    return this.#prefix + id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#watches.close(), this.#connection.close()]);
  }
}

function inParts(ids: readonly string[], size: number): string[][] {
  const parts: string[][] = [];
  for (let at = 0; at < ids.length; at += size) parts.push(ids.slice(at, at + size));
  return parts;
}
