/**
 * Receive and settle: the step that a busy worker repeats, in one script. It acknowledges what is finished, publishes
 * what follows, stores results, and fetches as much again.
 *
 * Why nothing is lost or done twice. The hash `unacked` says whose a delivery is: one HDEL takes all acknowledged tags
 * out of it, and if it took as many as it was given, all were still ours; if not, the index, which always names the
 * same tags, tells one by one (ZREM). What is not ours any more is left out of the rest. What is popped from a list
 * stands in `unacked` before the script ends, and a script is never cut short by other clients. The first writing
 * command takes away rather than adds, so a server out of memory refuses this script before it did anything or not
 * at all. RPOP goes one by one: its form with a count costs as much, and cannot stop at a number of bytes.
 *
 * Keys: unacked, unacked_index, then the lists of all queues, the most urgent step first.
 * Arguments: 1 how tags begin, 2 room, 3 number of the first fetch, 4 which queue is first in turn, 5 largest message,
 * 6 ranges of acknowledged tags, 7 results (none, or one for each tag), 8 their ttl, 9 messages that follow, 10 prefix
 * of keys; then for each queue the end of its entries; for each range its first and last number; for each message that
 * follows the index of its tag, its exchange, routing key, step and text; for each result its key (empty: no result)
 * and text.
 *
 * Answer: indexes of tags that were not ours, "QUEUE REASON" of what was buried, where the fetched come from (the
 * number of a list, or one for each, by commas), the messages.
 */
import {
  buryMessage,
  listNames,
  lookUpQueues,
  publishMessage,
  serverTime,
  storeResult,
} from "./fragments.ts";
import { script } from "./script.ts";

/** Bytes of messages that one fetch hands out before it stops. */
const FETCH_BYTES = 4 * 1024 * 1024;

const settle = `
local unacked, index, mine, ranges = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[6])
local queues = (#KEYS - 2) / 4
local at, lost = 11 + queues, ''
if ranges > 0 then
  local tags, count = {}, 0
  for range = 1, ranges do
    for number = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), 10 do
      count = count + 1
      tags[count] = mine .. number
    end
    at = at + 2
  end
  local gone
  if redis.call('HDEL', unacked, unpack(tags)) == count then
    redis.call('ZREM', index, unpack(tags))
  else
    gone = {}
    for i = 1, count do
      if redis.call('ZREM', index, tags[i]) == 0 then gone[tostring(i)] = true lost = lost .. i .. ',' end
    end
  end
  for _ = 1, tonumber(ARGV[9]) do
    if not (gone and gone[ARGV[at]]) then
      publish(ARGV[10], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3]), ARGV[at + 4])
    end
    at = at + 5
  end
  local ttl = ARGV[8]
  for i = 1, tonumber(ARGV[7]) do
    local key = ARGV[at]
    if key ~= '' and not (gone and gone[tostring(i)]) then store(key, ARGV[at + 1], ttl) end
    at = at + 2
  end
end`;

const fetch = `
local room = tonumber(ARGV[2])
local answer = { lost, '', '' }
if room == 0 then return answer end
local number, first, largest = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local fields, scores, from, count, bytes, mixed = {}, {}, {}, 0, 0, false
for step = 0, 3 do
  local turns, left, turn = {}, queues, 1
  for i = 1, queues do turns[i] = (first + i - 1) % queues end
  while left > 0 and count < room and bytes < ${FETCH_BYTES} do
    if turn > left then turn = 1 end
    local queue = turns[turn]
    local list = step * queues + queue
    local message = redis.pcall('RPOP', KEYS[3 + list])
    if type(message) ~= 'string' then
      table.remove(turns, turn)
      left = left - 1
    else
      turn = turn + 1
      local size = #message
      bytes = bytes + size
      if string.byte(message) ~= 123 or size > largest then
        local reason = size > largest and ('larger than ' .. ARGV[5] .. ' bytes') or 'not an envelope'
        bury(ARGV[10], string.sub(KEYS[3 + queue], #ARGV[10] + 1), '"' .. reason .. '"', message)
        answer[2] = answer[2] .. queue .. ' ' .. reason .. '\\n'
        -- However small, a thousand of them are enough for one script.
        bytes = bytes + ${FETCH_BYTES / 1000}
      else
        local tag = mine .. (number + count) * 10 + step * 3
        count = count + 1
        fields[2 * count - 1] = tag
        fields[2 * count] = '[' .. message .. ARGV[11 + queue]
        scores[2 * count - 1] = now
        scores[2 * count] = tag
        from[count] = list
        if list ~= from[1] then mixed = true end
        answer[3 + count] = message
      end
    end
  end
end
if count > 0 then
  redis.call('HSET', unacked, unpack(fields))
  redis.call('ZADD', index, unpack(scores))
  answer[3] = mixed and table.concat(from, ',') or tostring(from[1])
end
return answer`;

export const exchangeScript = script(
  "exchange",
  lookUpQueues,
  listNames,
  buryMessage,
  publishMessage,
  storeResult,
  settle,
  serverTime,
  fetch,
);
