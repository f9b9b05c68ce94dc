/**
 * The lease of what a worker holds: its score in `unacked_index` is the time of its last renewal, by the server's clock.
 *
 * Why it is right: XX renews what is still ours and never brings back what others have taken. The count of what was
 * renewed says whether all was; only if not are the tags asked for one by one.
 *
 * Keys: unacked_index. Arguments: how our tags begin, then first and last number of each range.
 * Answer: the numbers that were not ours any more.
 */
import { serverTime } from "./fragments.ts";
import { script } from "./script.ts";

export const renewScript = script(
  "renew",
  serverTime,
  `
local lost = {}
local function renew(pairs, numbers)
  if #numbers == 0 or redis.call('ZADD', KEYS[1], 'XX', 'CH', unpack(pairs)) == #numbers then return end
  for i = 1, #numbers do
    if not redis.call('ZSCORE', KEYS[1], pairs[2 * i]) then lost[#lost + 1] = numbers[i] end
  end
end
local pairs, numbers = {}, {}
for i = 2, #ARGV, 2 do
  for number = tonumber(ARGV[i]), tonumber(ARGV[i + 1]), 10 do
    numbers[#numbers + 1] = number
    pairs[#pairs + 1] = now
    pairs[#pairs + 1] = ARGV[1] .. number
    if #numbers == 1000 then
      renew(pairs, numbers)
      pairs, numbers = {}, {}
    end
  end
end
renew(pairs, numbers)
return lost`,
);
