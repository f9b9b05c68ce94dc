/** What an operator sees: how many messages each queue has, and in which state. */
import { lookUpQueues, openEntry } from "./fragments.ts";
import { script } from "./script.ts";

/**
 * Goes through a part of `unacked` at a time, so that other clients are served in between. Up to 1,000 held messages
 * are one part, and the lengths are those of one moment: a message that moves is in one place, never in two or none.
 *
 * Keys: unacked, then of each queue its schedule, its dead letters and its lists.
 * Arguments: prefix of keys, cursor, entries in a part, lists of a queue.
 * Answer: the next cursor (0: all was seen), of each queue how many are ready, delayed and dead, then queue and count of
 * what of this part is held.
 */
export const lengthsScript = script(
  "lengths",
  lookUpQueues,
  openEntry,
  `
local found = redis.call('HSCAN', KEYS[1], ARGV[2], 'COUNT', ARGV[3])
local counts, answer = {}, { found[1] }
for i = 2, #found[2], 2 do
  local message, exchange, key = open(found[2][i])
  if message then
    for _, queue in ipairs(queuesOf(ARGV[1], exchange, key)) do counts[queue] = (counts[queue] or 0) + 1 end
  end
end
for i = 2, #KEYS, 2 + ARGV[4] do
  local ready = 0
  for list = i + 2, i + 1 + ARGV[4] do ready = ready + redis.call('LLEN', KEYS[list]) end
  answer[#answer + 1] = ready
  answer[#answer + 1] = redis.call('ZCARD', KEYS[i])
  answer[#answer + 1] = redis.call('LLEN', KEYS[i + 1])
end
for queue, count in pairs(counts) do
  answer[#answer + 1] = queue
  answer[#answer + 1] = count
end
return answer`,
);
