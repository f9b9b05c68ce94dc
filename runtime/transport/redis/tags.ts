/**
 * The names under which deliveries stand in `unacked`: `celeriac:WORKER:` and then, for the delivery of a worker with
 * the running number n, n / 64 in decimal, the letter for the rest of n / 64, and the digit of the step of priority
 * whose list it came from, and goes back to. A script makes two names a task, and a letter is half as dear as a number.
 *
 * In this process a tag is one number: n and that digit behind it.
 */

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** How the names of one worker's tags begin. */
export function tagsOf(worker: string): string {
  return `celeriac:${worker}:`;
}

/** The name of a tag. */
export function nameOfTag(mine: string, tag: number): string {
  const number = Math.floor(tag / 10);
  return `${mine}${Math.floor(number / 64)}${letters[number % 64]}${tag % 10}`;
}

/** The tag of a name, of whichever worker; NaN for what is no such name. */
export function tagOfName(name: string): number {
  const number = Number(name.slice(name.lastIndexOf(":") + 1, -2));
  const letter = letters.indexOf(name.at(-2) ?? "");
  return letter < 0 ? NaN : (number * 64 + letter) * 10 + Number(name.at(-1));
}

/** Lua: `nameTags(mine, first, last, names)` adds the names of tags from first to last, of one step, to a table. */
export const nameTags = `
local letters, sub = '${letters}', string.sub
local function nameTags(mine, first, last, names)
  local step, count, block = tostring(first % 10), #names, nil
  for number = math.floor(first / 10), math.floor(last / 10) do
    local rest = number % 64
    if rest == 0 or not block then block = mine .. (number - rest) / 64 end
    count = count + 1
    names[count] = block .. sub(letters, rest + 1, rest + 1) .. step
  end
end`;
