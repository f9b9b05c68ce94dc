/**
 * The marks of a restored message, spliced into its text on the server, by the rule at the top of
 * `protocol/redelivery.ts`; one table of inputs tests both.
 */

/**
 * `markRestored(text, by)`: the marked text and its new count of deliveries, `by` 1 unless it is told to be 0. The spans of all that is to change are found
 * in the text as it is, each object gone through once, and the parts put together at the end: they never overlap.
 */
export const markRestored = `
local byte, find = string.byte, string.find
local function hop(text, at)
  local from = at + 1
  if byte(text, at) == 34 then
    while true do
      from = find(text, '"', from, true)
      if not from then return nil end
      local backslashes = 0
      while byte(text, from - 1 - backslashes) == 92 do backslashes = backslashes + 1 end
      if backslashes % 2 == 0 then break end
      from = from + 1
    end
    from = from + 1
  end
  return (find(text, '["{}%[%],:]', from))
end
local function trimmed(text, first, last)
  while first <= last and find(text, '^%s', first) do first = first + 1 end
  while last >= first and find(text, '^%s', last) do last = last - 1 end
  return { first, last }
end
-- The end of the object that begins at or after a place, and the spans of the values of two of its keys.
local function look(text, from, one, two)
  local at = from + #string.match(string.sub(text, from, from + 63), '^%s*')
  if byte(text, at) ~= 123 then return nil end
  local depth, expectsKey, wanted, start, values = 0, false, nil, nil, {}
  while at do
    local char = byte(text, at)
    if char == 123 or char == 91 then
      depth = depth + 1
      if depth == 1 then expectsKey = true end
    elseif char == 125 or char == 93 then
      depth = depth - 1
      if depth == 0 then
        if start then values[wanted] = trimmed(text, start, at - 1) end
        return at, values[one], values[two]
      end
    elseif depth == 1 then
      if char == 34 and expectsKey then
        expectsKey, wanted = false, nil
        for _, key in ipairs({ one, two }) do
          if string.sub(text, at + 1, at + #key + 1) == key .. '"' and not values[key] then wanted = key end
        end
      elseif char == 58 and wanted and not start then
        start = at + 1
      elseif char == 44 then
        if start then
          values[wanted] = trimmed(text, start, at - 1)
          start, wanted = nil, nil
        end
        expectsKey = true
      end
    end
    at = hop(text, at)
  end
end
local function markRestored(text, by)
  by = by or 1
  local stop, headers, properties = look(text, 1, 'headers', 'properties')
  if not stop then return text, 0 end
  local target = 1
  if headers and byte(text, headers[1]) == 123 then target = headers[1] end
  local targetStop, count, flag = look(text, target, 'celeriac_deliveries', 'redelivered')
  local digits = count and string.sub(text, count[1], count[2]) or ''
  local deliveries = #digits <= 9 and find(digits, '^%d+$') and tonumber(digits) + by or by
  local edits = {}
  local function replace(span, value) edits[#edits + 1] = { span[1], span[2], value } end
  local added = {}
  if count then replace(count, tostring(deliveries))
  else added[1] = '"celeriac_deliveries": ' .. deliveries end
  if flag then replace(flag, 'true') else added[#added + 1] = '"redelivered": true' end
  local function append(object, objectStop, fields)
    local open = find(text, '{', object, true)
    local comma = find(string.sub(text, open + 1, objectStop - 1), '%S') and ', ' or ''
    replace({ objectStop, objectStop - 1 }, comma .. fields)
  end
  if #added > 0 then append(target, targetStop, table.concat(added, ', ')) end
  local info
  if properties then local _, value = look(text, properties[1], 'delivery_info', '') info = value end
  if info and byte(text, info[1]) == 123 then
    local infoStop, _, seen = look(text, info[1], '', 'redelivered')
    if seen then replace(seen, 'true') else append(info[1], infoStop, '"redelivered": true') end
  end
  table.sort(edits, function(a, b) return a[1] < b[1] end)
  local parts, from = {}, 1
  for i = 1, #edits do
    parts[#parts + 1] = string.sub(text, from, edits[i][1] - 1)
    parts[#parts + 1] = edits[i][3]
    from = edits[i][2] + 1
  end
  parts[#parts + 1] = string.sub(text, from)
  return table.concat(parts), deliveries
end`;
