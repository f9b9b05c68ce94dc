/**
 * What nobody settled goes back to its queues: entries whose holder has stopped renewing them, and fetches whose answer
 * never reached us.
 *
 * Why nothing is lost or restored twice: a script takes the entry out of `unacked` and puts its message to a list
 * before any other client is served, and does so only if the entry still stands there as the caller saw it: with the
 * score that it was watched with, or past the visibility timeout by the server's own clock. Of several peers that find
 * the same one dead, the first does it.
 */
import {
  buryMessage,
  listNames,
  lookUpQueues,
  openEntry,
  putBackMessage,
  restoreMessage,
} from "./fragments.ts";
import { markRestored } from "./mark_restored.ts";
import { script } from "./script.ts";
import { nameTags } from "./tags.ts";

/**
 * The entries of `unacked_index` whose time was last renewed from a point on and more than so many seconds ago.
 * Keys: unacked_index. Arguments: that point, seconds, how many at most.
 * Answer: the server's point for the next call, how many there were, then tag and score of each that is one of ours
 * (a celeriac worker's).
 */
export const overdueScript = script(
  "look for overdue",
  `
local clock = redis.call('TIME')
local upto = clock[1] + clock[2] / 1000000 - tonumber(ARGV[2])
local limit = tonumber(ARGV[3])
local found = redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], string.format('%.6f', upto), 'WITHSCORES', 'LIMIT', 0, limit)
local count = #found / 2
local answer = { count == limit and found[#found] or string.format('%.6f', upto), count }
for i = 1, #found, 2 do
  if string.sub(found[i], 1, 9) == 'celeriac:' then
    answer[#answer + 1] = found[i]
    answer[#answer + 1] = found[i + 1]
  end
end
return answer`,
);

/**
 * Restores entries of celeriac workers that were watched for long enough.
 * Keys: unacked, unacked_index. Arguments: prefix of keys, maxDeliveries, how tags of our own begin, then tag and score
 * of each. What is our own was never seen by us, so it goes back unmarked.
 * Answer: how many were restored, then queue, reason and message of each that became a dead letter.
 */
export const restoreOverdueScript = script(
  "restore overdue",
  listNames,
  buryMessage,
  openEntry,
  markRestored,
  putBackMessage,
  restoreMessage,
  `
local prefix, most, mine = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local answer = { 0 }
for i = 4, #ARGV, 2 do
  local tag = ARGV[i]
  if redis.call('ZSCORE', KEYS[2], tag) == ARGV[i + 1] then
    local value = redis.call('HGET', KEYS[1], tag)
    redis.call('ZREM', KEYS[2], tag)
    redis.call('HDEL', KEYS[1], tag)
    local message, _, queue = open(value or '')
    if message then
      local step = tonumber(string.sub(tag, -1)) or 0
      if string.sub(tag, 1, #mine) == mine then
        putBack(prefix, queue, step, message)
        answer[1] = answer[1] + 1
      else
        local reason = restore(prefix, queue, step, message, most)
        if reason then
          answer[#answer + 1] = queue
          answer[#answer + 1] = reason
          answer[#answer + 1] = message
        else
          answer[1] = answer[1] + 1
        end
      end
    elseif value then
      bury(prefix, 'unacked', '"an entry of unacked that cannot be read"', value)
      answer[#answer + 1] = 'unacked'
      answer[#answer + 1] = 'an entry of unacked that cannot be read'
      answer[#answer + 1] = ''
    end
  end
end
return answer`,
);

/**
 * Restores what others than celeriac workers hold, past the visibility timeout, as kombu does: to all queues that its
 * exchange and routing key lead to, in the step of its own priority.
 * Keys: unacked, unacked_index. Arguments: prefix of keys, maxDeliveries, seconds, how many to look at, how many to
 * restore.
 * Answer: how many were restored, then queue, reason and message of each that became a dead letter.
 */
export const restoreForeignScript = script(
  "restore what others held",
  lookUpQueues,
  listNames,
  buryMessage,
  openEntry,
  markRestored,
  putBackMessage,
  restoreMessage,
  `
local prefix, most = ARGV[1], tonumber(ARGV[2])
local clock = redis.call('TIME')
local upto = string.format('%.6f', clock[1] + clock[2] / 1000000 - tonumber(ARGV[3]))
local answer = { 0 }
local tags = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', upto, 'LIMIT', 0, tonumber(ARGV[4]))
for i = 1, #tags do
  if answer[1] >= tonumber(ARGV[5]) then break end
  local tag = tags[i]
  if string.sub(tag, 1, 9) ~= 'celeriac:' then
    local value = redis.call('HGET', KEYS[1], tag)
    redis.call('ZREM', KEYS[2], tag)
    redis.call('HDEL', KEYS[1], tag)
    if value then
      local message, exchange, key = open(value)
      local queues = message and queuesOf(prefix, exchange, key) or {}
      local priority = message and tonumber(string.match(message, '.*"priority":%s*(%d+)')) or 0
      local step = math.min(9, math.floor(priority / 3) * 3)
      for j = 1, #queues do
        local reason = restore(prefix, queues[j], step, message, most)
        if reason then
          answer[#answer + 1] = queues[j]
          answer[#answer + 1] = reason
          answer[#answer + 1] = message
        else
          answer[1] = answer[1] + 1
        end
      end
      if #queues == 0 then
        local reason = message and 'no queue is bound to its exchange any more' or 'an entry of unacked that cannot be read'
        bury(prefix, key or 'unacked', '"' .. reason .. '"', message or value)
        answer[#answer + 1] = key or 'unacked'
        answer[#answer + 1] = reason
        answer[#answer + 1] = message or ''
      end
    end
  end
end
return answer`,
);

/**
 * Gives back what a fetch of ours took whose answer was lost. Its numbers are known, its steps are not.
 * Keys: unacked, unacked_index. Arguments: prefix of keys, how our tags begin, first and last number.
 * Answer: how many there were.
 */
export const returnUnseenScript = script(
  "return unseen",
  listNames,
  buryMessage,
  openEntry,
  putBackMessage,
  nameTags,
  `
local prefix, count = ARGV[1], 0
local names = {}
for step = 0, 9, 3 do nameTags(ARGV[2], ARGV[3] * 10 + step, ARGV[4] * 10 + step, names) end
-- What goes back last is the next one out: the first fetched.
for i = #names, 1, -1 do
  local value = redis.call('HGET', KEYS[1], names[i])
  if value then
    redis.call('HDEL', KEYS[1], names[i])
    redis.call('ZREM', KEYS[2], names[i])
    local message, _, queue = open(value)
    putBack(prefix, queue, tonumber(string.sub(names[i], -1)), message)
    count = count + 1
  end
end
return count`,
);
