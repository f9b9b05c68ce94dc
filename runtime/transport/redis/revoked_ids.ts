/**
 * Ids of tasks that are not to run any more: a sorted set of a Redis, id to the time when it was revoked. Times are the
 * server's, so that machines whose clocks differ agree.
 */
import type { RevokedBounds, RevokedIds, RevokedLook } from "../revoked_ids.ts";
import { script } from "./script.ts";
import type { Script } from "./script.ts";

/** Ids that one script adds or removes at most. */
const BATCH = 1_000;
/** Milliseconds that a look goes back behind the one before it: a server's clock may be set, or be another server's. */
const OVERLAP = 60_000;

const now = `
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)`;

/** Key: the set. Arguments: seconds and number of those that are kept, then ids. */
const addScript = script(
  "revoke",
  now,
  `
local seconds = tonumber(ARGV[1])
for i = 3, #ARGV do redis.call('ZADD', KEYS[1], now, ARGV[i]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', now - seconds * 1000))
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[2]))
redis.call('EXPIRE', KEYS[1], math.ceil(seconds) + 1)`,
);

/** Key: the set. Argument: the time from which on. Answer: now, how many there are, the ids. */
const readScript = script(
  "revoked",
  now,
  `
return { string.format('%.0f', now), redis.call('ZCARD', KEYS[1]), redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '+inf') }`,
);

/** Runs a script with one key. */
export type RunOnKey = (script: Script, key: string, args: (string | number)[]) => Promise<unknown>;

export class RedisRevokedIds implements RevokedIds {
  readonly #run: RunOnKey;
  readonly #key: string;

  /** `prefix` stands before all keys. */
  constructor(run: RunOnKey, prefix: string) {
    this.#run = run;
    this.#key = `${prefix}celeriac.revoked`;
  }

  async add(ids: readonly string[], { seconds, most }: RevokedBounds): Promise<void> {
    for (let at = 0; at < ids.length; at += BATCH) {
      await this.#run(addScript, this.#key, [seconds, most, ...ids.slice(at, at + BATCH)]);
    }
  }

  async remove(ids: readonly string[]): Promise<void> {
    for (let at = 0; at < ids.length; at += BATCH) {
      await this.#run(removeScript, this.#key, ids.slice(at, at + BATCH));
    }
  }

  async read(cursor?: number): Promise<RevokedLook> {
    const from = cursor === undefined ? "-inf" : cursor - OVERLAP;
    const [at, count, ids] = await this.#run(readScript, this.#key, [from]) as [string, number, string[]];
    return { ids, cursor: Number(at), count };
  }
}

/** Key: the set. Arguments: ids. */
const removeScript = script("unrevoke", `return redis.call('ZREM', KEYS[1], unpack(ARGV))`);
