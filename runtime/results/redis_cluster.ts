/**
 * Settle, and the way back to the caller, on a Redis Cluster: the same keys and channels as on one Redis, spread over its
 * nodes by their ids. Who listens is told by any node of what was sent to any other.
 */
import type { Clock, TimerHandle } from "../clock.ts";
import { ClusterNodes } from "../transport/redis/cluster/nodes.ts";
import { placeOf, SHARED } from "../transport/redis/cluster/place_of.ts";
import { readRedisUrl } from "../transport/redis/place.ts";
import { RedisRevokedIds } from "../transport/redis/revoked_ids.ts";
import type { Script } from "../transport/redis/script.ts";
import { storeScript } from "../transport/redis/store_script.ts";
import type { RevokedIds } from "../transport/revoked_ids.ts";
import { BadUrlError } from "../transport/url.ts";
import { RedisChords } from "./redis/chords.ts";
import { RedisResultWatches } from "./redis_watch.ts";
import { groupKeyPrefix, resultKeyPrefix } from "./result_key.ts";
import type { ResultListener, ResultStore, ResultWatch, StoredResult } from "./result_store.ts";

/** Milliseconds after which a caller asks although it heard nothing: what one node tells another may be lost. */
const SAFETY_POLL = 5_000;

/**
 * The result store of a cluster. Nothing is opened before it is needed.
 * @param url As `transport/redis/seeds.ts` reads it.
 * @throws {BadUrlError}
 */
export function openClusterResults(url: string, options: { readonly clock: Clock }): ResultStore {
  return new ClusterResults(url, options.clock);
}

class ClusterResults implements ResultStore {
  readonly name: string;
  readonly revoked: RevokedIds;
  readonly chords: RedisChords;
  readonly groups: RedisChords;
  readonly #clock: Clock;
  readonly #nodes: ClusterNodes;
  readonly #watches: RedisResultWatches;
  readonly #prefix: string;
  #timer: TimerHandle;
  #watching = false;

  constructor(url: string, clock: Clock) {
    const place = readRedisUrl(url);
    if (place.cluster === undefined) throw new BadUrlError(`"${place.name}" is no cluster`);
    this.name = place.name;
    this.#clock = clock;
    this.#prefix = resultKeyPrefix(place.keyPrefix);
    const options = { clock, random: Math.random };
    this.#nodes = new ClusterNodes(place, place.cluster, options);
    const listening = placeOf(place, SHARED);
    const run = (script: Script, key: string, args: (string | number)[]) =>
      this.#nodes.call((call) => call.run(script, key, args));
    this.revoked = new RedisRevokedIds(run, listening.keyPrefix);
    const groupPrefix = groupKeyPrefix(place.keyPrefix);
    this.chords = this.groups = new RedisChords({
      // All keys of a group are in one slot.
      keyOf: (groupId) => `${groupPrefix}{${groupId}}`,
      together: false,
      run: (script, key, args) => this.#nodes.call((call) => call.run(script, key, args)),
      send: (key, command, args) => this.#nodes.call((call) => call.send(key, command, args)),
    });
    this.#watches = new RedisResultWatches(listening, options, this.#prefix, (ids) => this.fetch(ids));
  }

  connect(signal?: AbortSignal): Promise<void> {
    return this.#nodes.connect(signal);
  }

  async store(results: readonly StoredResult[]): Promise<void> {
    await this.#nodes.call((call) =>
      Promise.all(results.map(({ id, text, ttl }) => {
        const key = this.keyOf(id);
        return call.run(storeScript, key, [key, Math.ceil(ttl), text]);
      }))
    );
  }

  fetch(ids: readonly string[]): Promise<(string | null)[]> {
    return this.#nodes.call((call) =>
      Promise.all(
        ids.map((id) => call.send(this.keyOf(id), "get", [this.keyOf(id)]) as Promise<string | null>),
      )
    );
  }

  async forget(ids: readonly string[]): Promise<void> {
    await this.#nodes.call((call) =>
      Promise.all(ids.map((id) => call.send(this.keyOf(id), "unlink", [this.keyOf(id)])))
    );
  }

  watch(listener: ResultListener): ResultWatch {
    if (!this.#watching) {
      this.#watching = true;
      this.#askLater();
    }
    return this.#watches.open(listener);
  }

  keyOf(id: string): string {
    return this.#prefix + id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watching = false;
    this.#clock.cancel(this.#timer);
    await Promise.all([this.#watches.close(), this.#nodes.close()]);
  }

  #askLater(): void {
    this.#timer = this.#clock.after(SAFETY_POLL, () => {
      if (!this.#watching) return;
      this.#watches.askAgain();
      this.#askLater();
    });
  }
}
