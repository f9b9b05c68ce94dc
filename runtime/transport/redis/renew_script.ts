/**
 * The lease of what a worker holds: its score in `unacked_index` is the time of its last renewal, by the server's clock.
 *
 * Why it is right: XX renews what is still ours and never brings back what others have taken. The count of what was
 * renewed says whether all was; only if not are the tags asked for one by one.
 *
 * Keys: unacked_index. Arguments: how our tags begin, then first and last tag of each range.
 * Answer: the tags that were not ours any more.
 */
import { serverTime } from "./fragments.ts";
import { script } from "./script.ts";
import { nameTags } from "./tags.ts";

export const renewScript = script(
  "renew",
  serverTime,
  nameTags,
  `
local lost = {}
for i = 2, #ARGV, 2 do
  local first, last = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  -- In parts, because a command takes some thousands of arguments from a script at most.
  for part = first, last, 10000 do
    local names, pairs = {}, {}
    nameTags(ARGV[1], part, math.min(part + 9990, last), names)
    for j = 1, #names do
      pairs[2 * j - 1] = now
      pairs[2 * j] = names[j]
    end
    if redis.call('ZADD', KEYS[1], 'XX', 'CH', unpack(pairs)) < #names then
      for j = 1, #names do
        if not redis.call('ZSCORE', KEYS[1], names[j]) then lost[#lost + 1] = part + 10 * (j - 1) end
      end
    end
  end
end
return lost`,
);
