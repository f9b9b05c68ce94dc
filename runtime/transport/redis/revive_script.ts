/**
 * Dead letters that go back to their queue, or for good. A letter has no name on a Redis: it is known by the hash of its
 * entry, looked for from the newest on.
 *
 * Why none is lost or put back twice: one script finds an entry, puts the message to its list and takes the entry out,
 * before any other client is served. New letters come in at the head, so what was passed over is never skipped.
 */
import { script } from "./script.ts";

/** Entries that one script looks at. */
export const LOOK = 2_000;
/** Entries read at a time, which are in the server's memory twice while they are looked at. */
const READ = 50;

/**
 * Keys: the dead letters of a queue. Arguments: where to begin; then of each letter its hash, its list (empty: it is
 * dropped) and its text (empty: the bytes as they are).
 * Answer: how far it looked (-1: to the end), the hashes that it found.
 */
export const reviveScript = script(
  "revive",
  `
local key, from, wanted, left, found = KEYS[1], tonumber(ARGV[1]), {}, 0, {}
for i = 2, #ARGV, 3 do
  local same = wanted[ARGV[i]] or {}
  same[#same + 1] = i
  wanted[ARGV[i]] = same
  left = left + 1
end
local stop = from + ${LOOK}
while from < stop do
  local entries = redis.call('LRANGE', key, from, from + ${READ - 1})
  if #entries == 0 or left == 0 then return { -1, found } end
  for _, entry in ipairs(entries) do
    local hash = redis.sha1hex(entry)
    local same = wanted[hash]
    local moved = false
    if same and #same > 0 then
      local i = table.remove(same)
      local list, text = ARGV[i + 1], ARGV[i + 2]
      if text == '' then text = string.sub(entry, string.find(entry, '\\n', 1, true) + 1) end
      moved = list == '' or type(redis.pcall('LPUSH', list, text)) == 'number'
    end
    if moved then
      redis.call('LREM', key, 1, entry)
      found[#found + 1] = hash
      left = left - 1
    else
      from = from + 1
    end
  end
end
return { from, found }`,
);
