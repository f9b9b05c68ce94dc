/**
 * Functions of Lua that several scripts share. A script runs alone on its server, from its first line to its last, so
 * what it reads stays true until it ends; what must not happen is that it stops half way. So nothing here raises an
 * error after something was taken: what may fail, a key of another type for one, is called by `pcall` and told.
 */

/** Now: `now` in seconds as text, as the scores of `unacked_index` are written. */
export const serverTime = `
local clock = redis.call('TIME')
local now = clock[1] .. '.' .. string.format('%06d', clock[2])`;

/**
 * `store(key, text, ttl)`: stores a result and tells who listens, unless a SUCCESS stands there, which is final. The
 * usual result is the first of its key, and costs one SET; what it finds there says the rest.
 */
export const storeResult = `
local function store(key, text, ttl)
  local set
  if ttl == '0' then set = redis.call('SET', key, text, 'NX')
  else set = redis.call('SET', key, text, 'NX', 'EX', ttl) end
  if not set then
    local known = redis.pcall('GET', key)
    if type(known) == 'string' and string.find(known, '^%s*{%s*"status"%s*:%s*"SUCCESS"') then return end
    if ttl == '0' then redis.call('SET', key, text) else redis.call('SET', key, text, 'EX', ttl) end
  end
  redis.call('PUBLISH', key, text)
end`;

/** `bury(prefix, queue, reason, message)`: keeps a message with its dead letters; `reason` is JSON. */
export const buryMessage = `
local function bury(prefix, queue, reason, message)
  local at = redis.call('TIME')
  local milliseconds = at[1] .. string.format('%03d', math.floor(at[2] / 1000))
  redis.call('LPUSH', prefix .. 'celeriac.dead.' .. queue,
    '{"reason":' .. reason .. ',"at":' .. milliseconds .. '}\\n' .. message)
end`;

/**
 * `queuesOf(prefix, exchange, key)`: the queues that a message to an exchange goes to, by kombu's bindings. A binding
 * with a pattern belongs to a topic exchange: `*` is one word, `#` any number of them.
 */
export const lookUpQueues = `
local function words(text)
  local list = {}
  for word in string.gmatch(text .. '.', '(.-)%.') do list[#list + 1] = word end
  return list
end
local function matches(pattern, p, key, k)
  if p > #pattern then return k > #key end
  if pattern[p] == '#' then
    for rest = k, #key + 1 do if matches(pattern, p + 1, key, rest) then return true end end
    return false
  end
  if k > #key or (pattern[p] ~= '*' and pattern[p] ~= key[k]) then return false end
  return matches(pattern, p + 1, key, k + 1)
end
local function queuesOf(prefix, exchange, key)
  if exchange == '' then return { key } end
  local queues, seen = {}, {}
  local bindings = redis.pcall('SMEMBERS', prefix .. '_kombu.binding.' .. exchange)
  for i = 1, #bindings do
    local bound, pattern, queue = string.match(bindings[i], '^(.-)\\6\\22(.-)\\6\\22(.*)$')
    if queue and not seen[queue] and
      (bound == key or (pattern ~= '' and matches(words(bound), 1, words(key), 1))) then
      seen[queue] = true
      queues[#queues + 1] = queue
    end
  end
  return queues
end`;

/** `listOf(prefix, queue, step)`: the list of a queue's messages of one step of priority. */
export const listNames = `
local function listOf(prefix, queue, step)
  if step == 0 then return prefix .. queue end
  return prefix .. queue .. '\\6\\22' .. step
end`;

/**
 * `publish(prefix, exchange, key, step, message)`: puts a message to its queues. Needs {@linkcode lookUpQueues},
 * {@linkcode listNames} and {@linkcode buryMessage}: where a queue's key holds something else, it becomes a dead letter.
 */
export const publishMessage = `
local function publish(prefix, exchange, key, step, message)
  local queues = queuesOf(prefix, exchange, key)
  for i = 1, #queues do
    local pushed = redis.pcall('LPUSH', listOf(prefix, queues[i], step), message)
    if type(pushed) == 'table' then bury(prefix, queues[i], '"the key of its queue holds something else"', message) end
  end
end`;

/**
 * `open(value)`: the message, exchange and routing key of an entry of `unacked`, ours or a Python worker's, or nothing
 * where it is none. It cuts the text from its end and never decodes the message, which cjson would change. In JSON a
 * quote inside a text has a backslash before it, so a comma with a quote after it stands between two texts for sure.
 */
export const openEntry = `
local function open(value)
  local message, exchange, key = string.match(value, '^%[(.*),%s*(".-")%s*,%s*(".-")%s*%]$')
  if not message then
    message, key = string.match(value, '^%[(.*),%s*null%s*,%s*(".-")%s*%]$')
    exchange = '""'
  end
  if not message then return nil end
  local ok, names = pcall(cjson.decode, '[' .. exchange .. ',' .. key .. ']')
  if not ok then return nil end
  return message, names[1], names[2]
end`;

/**
 * `putBack(prefix, queue, step, message)`: makes a message the next one out of its list. Needs {@linkcode listNames}
 * and {@linkcode buryMessage}.
 */
export const putBackMessage = `
local function putBack(prefix, queue, step, message)
  local pushed = redis.pcall('RPUSH', listOf(prefix, queue, step), message)
  if type(pushed) == 'table' then bury(prefix, queue, '"the key of its queue holds something else"', message) end
end`;

/**
 * `restore(prefix, queue, step, message, most)`: the same, marked and counted, or, when it was counted `most` times
 * already, to the dead letters: then it gives the reason. Needs {@linkcode putBackMessage} and `markRestored`.
 */
export const restoreMessage = `
local function restore(prefix, queue, step, message, most)
  local marked, deliveries = markRestored(message)
  if deliveries > most then
    local reason = 'restored ' .. deliveries - 1 .. ' times and never settled'
    bury(prefix, queue, '"' .. reason .. '"', message)
    return reason
  end
  putBack(prefix, queue, step, marked)
end`;
