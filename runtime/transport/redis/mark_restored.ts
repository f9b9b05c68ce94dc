/**
 * The marks of a restored message, spliced into its text on the server, by the rule at the top of
 * `protocol/redelivery.ts`; one table of inputs tests both.
 */

/** `markRestored(text)`: the marked text and its new count of deliveries; `deliveriesOf(text)`: the count it has. */
export const markRestored = `
local function hop(text, at)
  local from = at + 1
  if string.byte(text, at) == 34 then
    while true do
      from = string.find(text, '"', from, true)
      if not from then return nil end
      local backslashes = 0
      while string.byte(text, from - 1 - backslashes) == 92 do backslashes = backslashes + 1 end
      if backslashes % 2 == 0 then break end
      from = from + 1
    end
    from = from + 1
  end
  return (string.find(text, '["{}%[%],:]', from))
end
local function objectAt(text, from)
  local start = from + #string.match(string.sub(text, from, from + 63), '^%s*')
  if string.byte(text, start) ~= 123 then return nil end
  local depth, at = 0, start
  while at do
    local char = string.byte(text, at)
    if char == 123 or char == 91 then depth = depth + 1
    elseif char == 125 or char == 93 then
      depth = depth - 1
      if depth == 0 then return start, at end
    end
    at = hop(text, at)
  end
end
local function trimmed(text, first, last)
  while first <= last and string.find(text, '^%s', first) do first = first + 1 end
  while last >= first and string.find(text, '^%s', last) do last = last - 1 end
  return first, last
end
local function valueOf(text, from, key)
  local at, stop = objectAt(text, from)
  if not at then return nil end
  local depth, expectsKey, wanted, start = 0, false, false, nil
  while at and at <= stop do
    local char = string.byte(text, at)
    if char == 123 or char == 91 then
      depth = depth + 1
      if depth == 1 then expectsKey = true end
    elseif char == 125 or char == 93 then
      depth = depth - 1
      if depth == 0 and start then return trimmed(text, start, at - 1) end
    elseif depth == 1 then
      if char == 34 and expectsKey then
        wanted = string.sub(text, at + 1, at + #key + 1) == key .. '"'
        expectsKey = false
      elseif char == 58 and wanted then
        start, wanted = at + 1, false
      elseif char == 44 then
        if start then return trimmed(text, start, at - 1) end
        expectsKey = true
      end
    end
    at = hop(text, at)
  end
end
local function targetOf(text)
  local first = valueOf(text, 1, 'headers')
  return first and string.byte(text, first) == 123 and first or 1
end
local function set(text, from, key, value)
  local first, last = valueOf(text, from, key)
  if first then return string.sub(text, 1, first - 1) .. value .. string.sub(text, last + 1) end
  local start, stop = objectAt(text, from)
  local comma = string.find(string.sub(text, start + 1, stop - 1), '%S') and ', ' or ''
  return string.sub(text, 1, stop - 1) .. comma .. '"' .. key .. '": ' .. value .. string.sub(text, stop)
end
local function deliveriesOf(text)
  local first, last = valueOf(text, targetOf(text), 'celeriac_deliveries')
  local digits = first and string.sub(text, first, last) or ''
  if #digits > 9 or not string.find(digits, '^%d+$') then return 0 end
  return tonumber(digits)
end
local function markRestored(text)
  if not objectAt(text, 1) then return text, 0 end
  local deliveries = deliveriesOf(text) + 1
  local marked = set(text, targetOf(text), 'celeriac_deliveries', tostring(deliveries))
  marked = set(marked, targetOf(marked), 'redelivered', 'true')
  local properties = valueOf(marked, 1, 'properties')
  local info = properties and valueOf(marked, properties, 'delivery_info')
  if info and string.byte(marked, info) == 123 then marked = set(marked, info, 'redelivered', 'true') end
  return marked, deliveries
end`;
