/**
 * The scripts of the ledger on Redis. An entry is a field of a hash, `OWNER LAST TIMETABLE`; schedulers and their beats are
 * another one. In a cluster the entries of a queue stand in the slot of that queue, and the schedulers in one of their own,
 * so each script has one key and reaches nothing outside of that key's slot.
 */
import { buryMessage, listNames, lookUpQueues, publishMessage } from "../transport/redis/fragments.ts";
import { script } from "../transport/redis/script.ts";

const readEntry = `
local function read(key)
  return string.match(redis.call('HGET', KEYS[1], key) or '', '^(%S+) (%-?%d+) (.*)$')
end`;

/** Counts a beat up. Argument: the scheduler. Answer: all schedulers and their beats. */
export const renewScript = script(
  "renew a scheduler",
  `
redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
return redis.call('HGETALL', KEYS[1])`,
);

/** Arguments: the scheduler and its beat, or '' for any. */
export const buryScript = script(
  "bury a scheduler",
  `
if ARGV[2] == '' or redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then redis.call('HDEL', KEYS[1], ARGV[1]) end`,
);

/**
 * Takes what nobody alive holds. Arguments: the scheduler, how many others are alive, those, then for each wanted entry its
 * key, its timetable, and its last time if it begins anew. Answer: key and last time of each that is held.
 */
export const claimScript = script(
  "claim entries",
  readEntry,
  `
local me, count = ARGV[1], tonumber(ARGV[2])
local alive, wanted, before, held = {}, {}, { [me] = true }, {}
for i = 3, 2 + count do alive[ARGV[i]] = true end
for i = 3 + count, #ARGV, 3 do
  local key, timetable, first = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  wanted[key] = true
  local owner, last, known = read(key)
  if owner == nil or owner == me or not alive[owner] then
    if owner then before[owner] = true end
    if known ~= timetable then last = first end
    if owner ~= me or known ~= timetable then
      redis.call('HSET', KEYS[1], key, me .. ' ' .. last .. ' ' .. timetable)
    end
    held[#held + 1] = key
    held[#held + 1] = last
  end
end
-- What those before it held and it does not want has been taken out of the schedule.
for _, key in ipairs(redis.call('HKEYS', KEYS[1])) do
  if not wanted[key] and before[read(key) or ''] then redis.call('HDEL', KEYS[1], key) end
end
return held`,
);

/** Argument: an entry's key. Answer: its last time and its timetable, or nothing. */
export const readScript = script(
  "read an entry",
  readEntry,
  `
local owner, last, timetable = read(ARGV[1])
return { last or false, timetable or false }`,
);

/**
 * Sends one task and writes that down: both, or nothing where the entry is another's or was sent for another time.
 * Arguments: key, scheduler, last time before, time, timetable, then prefix of keys, exchange, routing key, step and message.
 * Answer: 1 when it was sent.
 */
export const sendScript = script(
  "send a periodic task",
  readEntry,
  lookUpQueues,
  listNames,
  buryMessage,
  publishMessage,
  `
local owner, last = read(ARGV[1])
if owner ~= ARGV[2] or last ~= ARGV[3] then return 0 end
publish(ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9]), ARGV[10])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[4] .. ' ' .. ARGV[5])
return 1`,
);
