/**
 * Chords on Redis, under Celery's keys, so that parts which end in Python count, too: of the header's key `.s` is the number of
 * parts, `.t` how many were added, `.j` a sorted set of those that have ended, `.d` which these are (`ID:INDEX`), so that one
 * that comes again with another result is known, and `.c` who sends the body, or `done`.
 *
 * Why the body is sent once: a part is added and the parts are counted in one script, so exactly one part completes them. What
 * comes again before the chord is ended finds it complete, and the body is sent again under the same ids; but not while Python
 * has claimed to send it, who would find no parts any more when we have ended the chord.
 *
 * A part may come before the size: Python tells that just before it sends the last part.
 */
import { script } from "../../transport/redis/script.ts";

/**
 * For how long Python leaves a complete chord to us. Less than a lease: when the worker that counted the last part dies, that may
 * come to a worker in Python, which then has to send the body.
 */
const CLAIM_SECONDS = 5;

/** A chord's keys live as long as the last of its parts says. */
const keep = `
local function keep(base, ttl)
  if ttl == 0 then return end
  for _, key in ipairs({ '.s', '.j', '.t', '.d' }) do redis.call('EXPIRE', base .. key, ttl) end
end
local function set(key, value, ttl)
  if ttl == 0 then redis.call('SET', key, value) else redis.call('SET', key, value, 'EX', ttl) end
end`;

/** Arguments: of each chord its key, ttl, size, and the text of its header to save, or nothing. No answer. */
export const beginScript = script(
  "begin chords",
  keep,
  `
for i = 1, #ARGV, 4 do
  local base, ttl = ARGV[i], tonumber(ARGV[i + 1])
  if redis.call('GET', base .. '.c') ~= 'done' then
    redis.call('SETNX', base .. '.s', ARGV[i + 2])
    keep(base, ttl)
  end
  if ARGV[i + 3] ~= '' then set(base, ARGV[i + 3], ttl) end
end`,
);

/**
 * Arguments: of each chord its key, ttl and number of parts, then the id, index and text of each part. Answer: for each part 0
 * waiting, 1 complete, 2 sent, 3 unknown. A part that ran in Python first is found by its index, at which mostly no other stands.
 */
export const countScript = script(
  "count parts of chords",
  keep,
  `
local function counted(parts, id, index)
  local start = '[1, "' .. id .. '"'
  for _, text in ipairs(redis.call('ZRANGEBYSCORE', parts, index, index, 'LIMIT', 0, 16)) do
    if string.sub(text, 1, #start) == start then return true end
  end
  return false
end
local answer, i = {}, 1
while i <= #ARGV do
  local base, ttl, n = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local claim, parts = redis.call('GET', base .. '.c'), base .. '.j'
  if claim == 'done' then
    for _ = 1, n do answer[#answer + 1] = 2 end
  else
    local size = tonumber(redis.call('GET', base .. '.s') or '')
    local total = size and size + tonumber(redis.call('GET', base .. '.t') or 0)
    for at = i + 3, i + 3 * n, 3 do
      local id, index = ARGV[at], ARGV[at + 1]
      if redis.call('SADD', base .. '.d', id .. ':' .. index) == 1 and not counted(parts, id, index) then
        redis.call('ZADD', parts, index, ARGV[at + 2])
      end
      local complete = total and redis.call('ZCARD', parts) >= total
      if not total then answer[#answer + 1] = 3
      elseif complete and (not claim or claim == 'celeriac') then
        redis.call('SET', base .. '.c', 'celeriac', 'EX', ${CLAIM_SECONDS})
        answer[#answer + 1] = 1
      else answer[#answer + 1] = 0 end
    end
    keep(base, ttl)
  end
  i = i + 3 + 3 * n
end
return answer`,
);

/** Arguments: key and ttl of each chord. No answer. */
export const endScript = script(
  "end chords",
  keep,
  `
for i = 1, #ARGV, 2 do
  local base = ARGV[i]
  set(base .. '.c', 'done', tonumber(ARGV[i + 1]))
  redis.call('UNLINK', base .. '.j', base .. '.t', base .. '.s', base .. '.d')
end`,
);

/** Arguments: a chord's key, ttl, and ids of tasks that are added to it. No answer. */
export const extendScript = script(
  "add to a chord",
  keep,
  `
local base = ARGV[1]
if redis.call('GET', base .. '.c') == 'done' then return end
for i = 3, #ARGV do
  if redis.call('SADD', base .. '.d', '+' .. ARGV[i]) == 1 then redis.call('INCR', base .. '.t') end
end
keep(base, tonumber(ARGV[2]))`,
);
