/**
 * Settle, for all that is not simply done with: returned, restored, delayed or dead. Apart from the script that a busy
 * worker repeats, so that that one stays small.
 *
 * Why nothing is lost or done twice: an entry that is still in `unacked` is ours, and is taken out before anything is
 * done for it; an entry that is not there is left alone. Messages are moved on the server by their tags, so that no byte
 * of them changes on the way, whatever it is.
 *
 * Keys: unacked, unacked_index, the set of queues with delayed messages.
 * Arguments: prefix of keys, maxDeliveries, then for each: tag, step, outcome, the milliseconds until it is due (not when:
 * the server's clock need not be the worker's, to whom it would come back too early again and again) or its reason as JSON,
 * key (empty: none), ttl and text of its result, number of messages that follow, and for each of those
 * exchange, routing key, step and text.
 *
 * Answer: the index of each that was not ours, negative the index of each that became a dead letter here.
 */
import {
  buryMessage,
  listNames,
  lookUpQueues,
  openEntry,
  publishMessage,
  putBackMessage,
  restoreMessage,
  storeResult,
} from "./fragments.ts";
import { markRestored } from "./mark_restored.ts";
import { script } from "./script.ts";

const setAside = `
local unacked, index, schedules = KEYS[1], KEYS[2], KEYS[3]
local prefix, most = ARGV[1], tonumber(ARGV[2])
local at, entry, answer = 3, 0, {}
while at <= #ARGV do
  entry = entry + 1
  local tag, step, outcome, detail = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3]
  local value = redis.call('HGET', unacked, tag)
  local ours = value and true or false
  if ours then
    redis.call('HDEL', unacked, tag)
    redis.call('ZREM', index, tag)
  else
    answer[#answer + 1] = entry
  end
  local key, ttl, result, follows = ARGV[at + 4], ARGV[at + 5], ARGV[at + 6], tonumber(ARGV[at + 7])
  at = at + 8
  for _ = 1, follows do
    if ours then publish(prefix, ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]) end
    at = at + 4
  end
  if ours then
    if key ~= '' then store(key, result, ttl) end
    local message, _, queue = open(value)
    if outcome == 'return' then
      putBack(prefix, queue, step, message)
    elseif outcome == 'again' then
      putBack(prefix, queue, step, (markRestored(message, 0)))
    elseif outcome == 'restore' then
      if restore(prefix, queue, step, message, most) then answer[#answer + 1] = -entry end
    elseif outcome == 'delay' then
      redis.call('HSET', prefix .. 'celeriac.scheduled.' .. queue, tag, value)
      local time = redis.call('TIME')
      local due = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(detail)
      redis.call('ZADD', prefix .. 'celeriac.schedule.' .. queue, string.format('%.0f', due), tag)
      redis.call('SADD', schedules, queue)
    else
      bury(prefix, queue, detail, message)
    end
  end
end
return answer`;

export const setAsideScript = script(
  "set aside",
  lookUpQueues,
  listNames,
  buryMessage,
  publishMessage,
  storeResult,
  openEntry,
  markRestored,
  putBackMessage,
  restoreMessage,
  setAside,
);
