/**
 * Receive and settle: the step that a busy worker repeats, in one script. It acknowledges what is finished, publishes
 * what follows, stores results, and fetches as much again.
 *
 * Why nothing is lost or done twice. The hash `unacked` says whose a delivery is: one HDEL takes all acknowledged tags
 * out of it, and if it took as many as it was given, all were still ours; if not, the index, which always names the
 * same tags, tells one by one (ZREM). What is not ours any more is left out of the rest. What is popped from a list
 * stands in `unacked` before the script ends, and a script is never cut short by other clients. The first writing
 * command takes away rather than adds, so a server out of memory refuses this script before it did anything or not
 * at all. A few are popped at a time, one where they are large, because the script is to stop at a number of bytes.
 *
 * Keys: unacked, unacked_index, then the lists of all queues, the most urgent step first.
 * Arguments: 1 how tags begin, 2 room, 3 number of the first fetch, 4 which queue is first in turn, 5 largest message,
 * 6 ranges of acknowledged tags, 7 results (none, or one for each tag), 8 their ttl, 9 messages that follow, 10 prefix
 * of keys; then for each queue the end of its entries; for each range its first and last tag; for each message that
 * follows the index of its tag, its exchange, routing key, step and text; for each result its key (empty: no result)
 * and text.
 *
 * Answer: indexes of tags that were not ours, "QUEUE REASON" of what was buried, where the fetched come from (the
 * number of a list, how many, and so on), the messages.
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
import { nameTags } from "./tags.ts";

/** Bytes of messages that one fetch hands out before it stops. */
const FETCH_BYTES = 4 * 1024 * 1024;
/** Messages popped at a time, while those before were smaller than so many bytes. */
const POP = { count: 8, size: 16 * 1024 };

const settle = `
local unacked, index, mine, ranges = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[6])
local queues = (#KEYS - 2) / 4
local at, lost = 11 + queues, ''
if ranges > 0 then
  local tags = {}
  for _ = 1, ranges do
    nameTags(mine, tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tags)
    at = at + 2
  end
  local gone
  if redis.call('HDEL', unacked, unpack(tags)) == #tags then
    redis.call('ZREM', index, unpack(tags))
  else
    gone = {}
    for i = 1, #tags do
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
if room == 0 then return { lost, '', '' } end
local number, first, largest = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local fields, scores, answer, count, bytes = {}, {}, { lost, '', '' }, 0, 0
local buried, from, block = '', '', nil
for step = 0, 3 do
  local digit, asked = tostring(step * 3), {}
  for i = 1, queues do asked[i] = (first + i - 1) % queues end
  -- Each queue gives its fair share; what it cannot give goes to those that have more.
  while #asked > 0 and count < room and bytes < ${FETCH_BYTES} do
    local rich = {}
    for i = 1, #asked do
      local queue = asked[i]
      local list, ending, before = step * queues + queue, ARGV[11 + queue], count
      local share = math.ceil((room - count) / (#asked - i + 1))
      local size = 1
      while share > 0 and bytes < ${FETCH_BYTES} do
        if size > share then size = share end
        local messages = redis.pcall('RPOP', KEYS[3 + list], size)
        if not messages or messages.err then break end
        local largestPopped = 0
        for j = 1, #messages do
          local message = messages[j]
          local length = #message
          if length > largestPopped then largestPopped = length end
          bytes = bytes + length
          if string.byte(message) ~= 123 or length > largest then
            local reason = length > largest and ('larger than ' .. ARGV[5] .. ' bytes') or 'not an envelope'
            bury(ARGV[10], sub(KEYS[3 + queue], #ARGV[10] + 1), '"' .. reason .. '"', message)
            buried = buried .. queue .. ' ' .. reason .. '\\n'
            -- However small, a thousand of them are enough for one script.
            bytes = bytes + ${FETCH_BYTES / 1024}
          else
            local rest = (number + count) % 64
            if rest == 0 or not block then block = mine .. (number + count - rest) / 64 end
            local tag = block .. sub(letters, rest + 1, rest + 1) .. digit
            count = count + 1
            share = share - 1
            fields[2 * count - 1] = tag
            fields[2 * count] = '[' .. message .. ending
            scores[2 * count - 1] = now
            scores[2 * count] = tag
            answer[3 + count] = message
          end
        end
        if #messages < size then break end
        size = largestPopped > ${POP.size} and 1 or ${POP.count}
      end
      if count > before then from = from .. list .. ',' .. (count - before) .. ',' end
      if share == 0 then rich[#rich + 1] = queue end
    end
    asked = rich
  end
end
answer[2], answer[3] = buried, from
if count > 0 then
  redis.call('HSET', unacked, unpack(fields))
  redis.call('ZADD', index, unpack(scores))
end
return answer`;

export const exchangeScript = script(
  "exchange",
  lookUpQueues,
  listNames,
  buryMessage,
  publishMessage,
  storeResult,
  nameTags,
  settle,
  serverTime,
  fetch,
);
