/**
 * Delayed messages: kept in a sorted set and a hash for each queue, and moved back by whichever worker looks first.
 *
 * Why nothing is lost or moved twice: one script takes a message out of the hash and puts it to its list before any
 * other client is served.
 */
import { buryMessage, listNames, openEntry, putBackMessage } from "./fragments.ts";
import { script } from "./script.ts";

/**
 * Moves what is due to its queues, the earliest to be the next one out.
 * Keys: the set of queues with delayed messages. Arguments: prefix of keys, how many of each queue.
 * Answer: milliseconds until the next is due (0: at once; -1: there is none).
 */
export const promoteScript = script(
  "promote",
  listNames,
  buryMessage,
  openEntry,
  putBackMessage,
  `
local prefix, limit = ARGV[1], tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local wait = -1
for _, queue in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local times, messages = prefix .. 'celeriac.schedule.' .. queue, prefix .. 'celeriac.scheduled.' .. queue
  local tags = redis.call('ZRANGEBYSCORE', times, '-inf', string.format('%.0f', now), 'LIMIT', 0, limit)
  for i = #tags, 1, -1 do
    local value = redis.call('HGET', messages, tags[i])
    redis.call('HDEL', messages, tags[i])
    redis.call('ZREM', times, tags[i])
    if value then putBack(prefix, queue, tonumber(string.sub(tags[i], -1)) or 0, (open(value))) end
  end
  local next = redis.call('ZRANGE', times, 0, 0, 'WITHSCORES')
  if next[2] then
    local rest = math.max(0, math.ceil(tonumber(next[2]) - now))
    if wait < 0 or rest < wait then wait = rest end
  else
    redis.call('SREM', KEYS[1], queue)
  end
end
return wait`,
);

/**
 * Drops what is ready or delayed in a queue.
 * Keys: the set of queues with delayed messages, the queue's schedule and its messages, its lists.
 * Arguments: the queue.
 * Answer: how many there were.
 */
export const purgeScript = script(
  "purge",
  `
local count = redis.call('ZCARD', KEYS[2])
redis.call('SREM', KEYS[1], ARGV[1])
for i = 4, #KEYS do
  local length = redis.pcall('LLEN', KEYS[i])
  if type(length) == 'number' then
    count = count + length
    redis.call('UNLINK', KEYS[i])
  end
end
redis.call('UNLINK', KEYS[2], KEYS[3])
return count`,
);
