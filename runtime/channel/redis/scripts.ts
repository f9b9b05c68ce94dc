/**
 * What is done to a line on Redis, one script a step. Its messages stand in a plain list, the oldest on the left. Beside
 * it, under the same name: `.held`, which is what was the list when its reader last found nothing more in there, so that
 * whatever others do to the list, what a reader has in hand stays; `.reader`, a hash of who that is, how many batches it
 * has had, and how many messages at the front of `.held` are the last one; `.sent`, a hash of how much each sender has sent.
 *
 * Why nothing is lost or doubled when an answer is: each script writes down how far it got in the step in which it gets
 * there, and finds that when it is run again. Messages themselves go by plain commands: to hand a thousand texts to a script
 * takes the server several times as long.
 */
import { script } from "../../transport/redis/script.ts";

/** Senders of one line that are remembered; a sender needs it no longer than its connection is broken. */
const SENDERS = 100;

/** A line's keys, in the order in which all scripts take them. */
export function keysOf(list: string): string[] {
  return [list, `${list}.held`, `${list}.reader`, `${list}.sent`];
}

const names = `
local list, held, state, sent = unpack(KEYS)
local function keep(ttl, ...)
  for _, key in ipairs({ ... }) do
    if ttl > 0 then redis.call('PEXPIRE', key, ttl) else redis.call('PERSIST', key) end
  end
end`;

/**
 * Before sending, where it is not known how full the line is or what became of the last push. Arguments: sender, most that
 * may wait. Answers the number of the last text of that sender in the line (-1 where none is known), and for how many more
 * there is room.
 */
export const roomScript = script(
  "look for room",
  names,
  `
local last = redis.call('HGET', sent, ARGV[1])
if not last and redis.call('HLEN', sent) >= ${SENDERS} then redis.call('DEL', sent) end
return { tonumber(last or -1), ARGV[2] - redis.call('LLEN', list) - redis.call('LLEN', held) }`,
);

/** Behind a push that did not look for room. Arguments: most that may wait. Answers for how many more there is room. */
export const dropScript = script(
  "drop the oldest messages",
  names,
  `
local inHeld = redis.call('LLEN', held)
local room = ARGV[1] - redis.call('LLEN', list) - inHeld
if room >= 0 then return room end
local fromHeld = math.min(-room, inHeld)
local inHand = math.min(fromHeld, tonumber(redis.call('HGET', state, 'count') or 0))
if inHand > 0 then redis.call('HINCRBY', state, 'count', -inHand) end
redis.call('LTRIM', held, fromHeld, -1)
redis.call('LTRIM', list, -room - fromHeld, -1)
return 0`,
);

/**
 * Read. Arguments: reader, 1 for its first step, number of the batch, most messages, milliseconds to remember the reader (0
 * for ever). Answers how many messages at the front of `.held`, for an LRANGE right behind, are the batch; -1 where another
 * reader has taken over. To ask for a batch says that the one before is done with.
 */
export const takeScript = script(
  "read messages",
  names,
  `
local reader, isFirst, batch, most, ttl = ARGV[1], ARGV[2] == '1', ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local present, last, count = unpack(redis.call('HMGET', state, 'reader', 'batch', 'count'))
if present ~= reader then
  if present and not isFirst then return -1 end
  redis.call('DEL', state)
  redis.call('HSET', state, 'reader', reader)
  keep(ttl, state)
elseif last == batch then
  return tonumber(count)
elseif count and count ~= '0' then
  redis.call('LTRIM', held, count, -1)
  redis.call('HSET', state, 'count', 0)
end
local waiting = redis.call('LLEN', held)
if waiting == 0 then
  waiting = redis.call('LLEN', list)
  if waiting == 0 then return 0 end
  redis.call('RENAME', list, held)
end
count = math.min(waiting, most)
redis.call('HSET', state, 'batch', batch, 'count', count)
keep(ttl, state)
return count`,
);

/**
 * Read no more: what is held goes back to the front of the list, in its order. Arguments: reader, number of its last batch,
 * how many of that are left, milliseconds to keep what goes back. No answer.
 */
export const releaseScript = script(
  "read no more messages",
  names,
  `
local reader, batch, left, ttl = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local present, last, count = unpack(redis.call('HMGET', state, 'reader', 'batch', 'count'))
if present ~= reader then return end
if last == batch and count then redis.call('LTRIM', held, math.max(0, count - left), -1) end
if redis.call('EXISTS', list) == 0 then
  if redis.call('EXISTS', held) == 1 then redis.call('RENAME', held, list) end
else
  while redis.call('LMOVE', held, list, 'RIGHT', 'LEFT') do end
end
if ttl > 0 and redis.call('PTTL', list) == -1 then redis.call('PEXPIRE', list, ttl) end
redis.call('DEL', state)`,
);
