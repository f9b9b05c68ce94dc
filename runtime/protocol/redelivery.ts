/**
 * The marks of a message that was restored because nobody settled it. They are spliced into its text: decoding and
 * writing it again could change what its publisher wrote. The Redis transport does the same in Lua, by this rule:
 *
 * 1. The text is one JSON object, or it is left as it is.
 * 2. The marked object is the value of the top-level key `headers` when that is an object, else (a bare message) the
 *    top-level object itself.
 * 3. In it `"celeriac_deliveries": N` is set to N + 1 (to 1 when there is none or it is no number of digits only), then
 *    `"redelivered": true`. What is known not to be the reason of the trouble is marked only: N stays, or is 0.
 * 4. When the top-level key `properties` holds an object whose key `delivery_info` holds one, `"redelivered": true` is
 *    set in that.
 *
 * To set a key: when the object has it already (the first, if twice), the bytes of its value are replaced; else
 * `, "KEY": VALUE` goes before the closing brace, without the comma and space in an empty object. Keys are found by
 * hopping over strings and counting brackets, so that the same words inside of a value are never taken for a key; a
 * key written with escapes is not recognized.
 */

/** A half-open range of a text. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/**
 * Marks a message as restored, and counts that `by` so much. `deliveries` is the new count, 0 when the text is no JSON
 * object.
 */
export function markRestored(text: string, by: 0 | 1 = 1): { text: string; deliveries: number } {
  if (objectAt(text, 0) === undefined) return { text, deliveries: 0 };
  const deliveries = deliveriesOf(text) + by;
  let marked = set(text, target(text), "celeriac_deliveries", String(deliveries));
  marked = set(marked, target(marked), "redelivered", "true");
  const properties = valueOf(marked, 0, "properties");
  const info = properties && valueOf(marked, properties.start, "delivery_info");
  if (info && marked[info.start] === "{") marked = set(marked, info.start, "redelivered", "true");
  return { text: marked, deliveries };
}

/** The message as if nobody had ever restored it: what marks it has are set back. */
export function markFresh(text: string): string {
  if (objectAt(text, 0) === undefined) return text;
  let fresh = text;
  const setBack = (object: number, key: string, value: string) => {
    if (valueOf(fresh, object, key) !== undefined) fresh = set(fresh, object, key, value);
  };
  setBack(target(fresh), "celeriac_deliveries", "0");
  setBack(target(fresh), "redelivered", "false");
  const properties = valueOf(fresh, 0, "properties");
  const info = properties && valueOf(fresh, properties.start, "delivery_info");
  if (info && fresh[info.start] === "{") setBack(info.start, "redelivered", "false");
  return fresh;
}

/** How often a message was restored. */
export function deliveriesOf(text: string): number {
  const value = valueOf(text, target(text), "celeriac_deliveries");
  const digits = value && text.slice(value.start, value.end);
  return digits !== undefined && /^\d{1,9}$/.test(digits) ? Number(digits) : 0;
}

function target(text: string): number {
  const headers = valueOf(text, 0, "headers");
  return headers && text[headers.start] === "{" ? headers.start : 0;
}

function set(text: string, objectStart: number, key: string, value: string): string {
  const old = valueOf(text, objectStart, key);
  if (old) return text.slice(0, old.start) + value + text.slice(old.end);
  const object = objectAt(text, objectStart)!;
  const empty = text.slice(object.start + 1, object.end - 1).trim() === "";
  return text.slice(0, object.end - 1) + `${empty ? "" : ", "}"${key}": ${value}` +
    text.slice(object.end - 1);
}

/** The object that begins at or after `from`, when nothing but space stands before it and its end is there. */
function objectAt(text: string, from: number): Span | undefined {
  const start = from + (/^\s*/.exec(text.slice(from, from + 64))?.[0].length ?? 0);
  if (text[start] !== "{") return undefined;
  let depth = 0;
  for (let at = start; at >= 0; at = hop(text, at)) {
    const char = text[at];
    if (char === "{" || char === "[") depth++;
    else if ((char === "}" || char === "]") && --depth === 0) return { start, end: at + 1 };
  }
  return undefined;
}

/** Where the value of `key` stands in the object that begins at `objectStart`. */
function valueOf(text: string, objectStart: number, key: string): Span | undefined {
  const object = objectAt(text, objectStart);
  if (object === undefined) return undefined;
  let depth = 0;
  let expectsKey = false;
  let wanted = false;
  let start = -1;
  for (let at = object.start; at >= 0 && at < object.end; at = hop(text, at)) {
    const char = text[at];
    if (char === "{" || char === "[") {
      if (++depth === 1) expectsKey = true;
    } else if (char === "}" || char === "]") {
      if (--depth === 0 && start >= 0) return trimmed(text, start, at);
    } else if (depth === 1) {
      if (char === '"' && expectsKey) {
        wanted = text.startsWith(key + '"', at + 1);
        expectsKey = false;
      } else if (char === ":" && wanted) {
        start = at + 1;
        wanted = false;
      } else if (char === ",") {
        if (start >= 0) return trimmed(text, start, at);
        expectsKey = true;
      }
    }
  }
  return undefined;
}

/** The next bracket, comma, colon or opening quote after the one at `at`, or -1; strings are stepped over whole. */
function hop(text: string, at: number): number {
  let next = at + 1;
  if (text.charCodeAt(at) === QUOTE) {
    next = text.indexOf('"', next);
    while (next >= 0 && isEscaped(text, next)) next = text.indexOf('"', next + 1);
    if (next < 0) return -1;
    next++;
  }
  for (; next < text.length; next++) {
    switch (text.charCodeAt(next)) {
      case QUOTE:
      case COMMA:
      case COLON:
      case 0x5b: // [
      case 0x5d: // ]
      case 0x7b: // {
      case 0x7d: // }
        return next;
    }
  }
  return -1;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text[at - 1 - backslashes] === "\\") backslashes++;
  return backslashes % 2 === 1;
}

function trimmed(text: string, start: number, end: number): Span {
  while (start < end && /\s/.test(text[start])) start++;
  while (end > start && /\s/.test(text[end - 1])) end--;
  return { start, end };
}
