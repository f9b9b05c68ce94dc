/**
 * What is done to a line on Redis, one script a step. Its messages stand in a plain list, the oldest on the left. Beside
 * it, under the same name: `.held`, what the reader has in hand; `.reader`, a hash of who that is and how many batches it
 * has had; `.sent`, a hash of how much each sender has sent.
 *
 * Why nothing is lost or doubled when an answer is: each script writes down how far it got in the step in which it gets
 * there, and finds that when it is run again. What may fail, a key of another type or memory that is full, comes before
 * anything is taken away.
 */
import { script } from "../../transport/redis/script.ts";

/** Senders of one line that are remembered; a sender needs it no longer than its connection is broken. */
const SENDERS = 100;
/** Messages are looked at so many at a time, since one may be large. */
const STEP = 32;
/** Arguments that Lua hands on at once; it has room for 8,000. */
const AT_ONCE = 1_000;

/**
 * Send. Keys: the list, `.sent`, `.held`. Arguments: sender, number of the first text, most that may wait, 1 to drop the oldest,
 * milliseconds to keep it (0 for ever), texts. Answers how many of the texts are in the line, now or since before.
 */
export const pushScript = script(
  "send messages",
  `
local list, sent, held = KEYS[1], KEYS[2], KEYS[3]
local sender, first, most, drops, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1', tonumber(ARGV[5])
local known = math.max(0, tonumber(redis.call('HGET', sent, sender) or first - 1) - first + 1)
local count = #ARGV - 5 - known
local waiting = redis.call('LLEN', list)
if not drops then count = math.min(count, most - waiting - redis.call('LLEN', held)) end
if count <= 0 then return known end
for from = 6 + known, 5 + known + count, ${AT_ONCE} do
  redis.call('RPUSH', list, unpack(ARGV, from, math.min(from + ${AT_ONCE - 1}, 5 + known + count)))
end
if waiting + count > most then redis.call('LTRIM', list, -most, -1) end
if redis.call('HLEN', sent) >= ${SENDERS} then redis.call('DEL', sent) end
redis.call('HSET', sent, sender, string.format('%.0f', first + known + count - 1))
for _, key in ipairs({ list, sent }) do
  if ttl > 0 then redis.call('PEXPIRE', key, ttl) else redis.call('PERSIST', key) end
end
return known + count`,
);

/** What the reader has in hand goes back to the front of the list, in its order. */
const giveBack = `
local function giveBack(list, held, ttl)
  local count = 0
  while redis.call('LMOVE', held, list, 'RIGHT', 'LEFT') do count = count + 1 end
  if count > 0 and ttl > 0 and redis.call('PTTL', list) == -1 then redis.call('PEXPIRE', list, ttl) end
end`;

/**
 * Read. Keys: the list, `.held`, `.reader`. Arguments: reader, 1 for its first step, number of the batch, most messages,
 * most bytes, milliseconds to keep what it holds (0 for ever). Answers 1 where another reader has taken over, else 0 and the
 * messages. That the batch before is done with is said by asking for the next one.
 */
export const takeScript = script(
  "read messages",
  giveBack,
  `
local list, held, state = KEYS[1], KEYS[2], KEYS[3]
local reader, isFirst, batch, most, bytes, ttl =
  ARGV[1], ARGV[2] == '1', ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local function keep(key)
  if ttl > 0 then redis.call('PEXPIRE', key, ttl) else redis.call('PERSIST', key) end
end
local present = redis.call('HGET', state, 'reader')
if present ~= reader then
  if present and not isFirst then return { 1 } end
  giveBack(list, held, ttl)
  redis.call('DEL', state)
  redis.call('HSET', state, 'reader', reader)
  keep(state)
elseif redis.call('HGET', state, 'batch') == batch then
  return { 0, unpack(redis.call('LRANGE', held, 0, -1)) }
end
local taken, length, enough = {}, 0, false
for from = 0, most - 1, ${STEP} do
  local part = redis.call('LRANGE', list, from, math.min(from + ${STEP - 1}, most - 1))
  for _, text in ipairs(part) do
    enough = #taken > 0 and length + #text > bytes
    if enough then break end
    taken[#taken + 1] = text
    length = length + #text
  end
  if enough or #part < ${STEP} then break end
end
redis.call('DEL', held)
if #taken == 0 then return { 0 } end
redis.call('RPUSH', held, unpack(taken))
redis.call('LTRIM', list, #taken, -1)
redis.call('HSET', state, 'batch', batch)
keep(held)
keep(state)
return { 0, unpack(taken) }`,
);

/**
 * Read no more. Keys as above. Arguments: reader, number of its last batch, how many of that are done with, milliseconds
 * to keep what goes back. No answer.
 */
export const releaseScript = script(
  "read no more messages",
  giveBack,
  `
local list, held, state = KEYS[1], KEYS[2], KEYS[3]
if redis.call('HGET', state, 'reader') ~= ARGV[1] then return end
if redis.call('HGET', state, 'batch') == ARGV[2] then redis.call('LTRIM', held, ARGV[3], -1) end
giveBack(list, held, tonumber(ARGV[4]))
redis.call('DEL', state, held)`,
);
