/**
 * Settle, before its time: counts the start of a message that is still held, for the case that nobody lives to settle it.
 *
 * Why nothing is lost: the entry is read and written in one script, its message marked by splicing, so at any moment it
 * stands in `unacked` with the one text or the other. Its score in `unacked_index`, the lease, stays as it is.
 *
 * Keys: unacked. Arguments: the tag.
 * Answer: the marked text; nothing when the entry is not there any more, or can't be read.
 */
import { openEntry } from "./fragments.ts";
import { markRestored } from "./mark_restored.ts";
import { script } from "./script.ts";

export const countStartScript = script(
  "count a start",
  openEntry,
  markRestored,
  `
local value = redis.call('HGET', KEYS[1], ARGV[1])
local message = value and open(value)
if not message then return false end
local marked, deliveries = markRestored(message)
if deliveries == 0 then return message end
redis.call('HSET', KEYS[1], ARGV[1], '[' .. marked .. string.sub(value, #message + 2))
return marked`,
);
