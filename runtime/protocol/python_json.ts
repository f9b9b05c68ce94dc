/**
 * JSON as Python and kombu speak it, for the bodies and results on a task's way. It is wider than JavaScript's:
 * `NaN`, `Infinity` and `-Infinity` are tokens, integers have no bounds, and kombu marks other types as
 * `{"__type__": T, "__value__": V}`. Plain JSON takes the runtime's own fast functions.
 */
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { formatIso, parseIso } from "./dates.ts";
import { isJsonExact, type PlainValue, put, toPlain } from "./plain_value.ts";

export { UnserializableError } from "./plain_value.ts";

/** An integer too long for a float's 53 bits perhaps; the digits of a long fraction are no reason to worry. */
const LONG_INTEGER = /(?<![.\d])\d{16}/;

/** Whether `JSON.parse` might change this text's values: it holds a long integer, or one of kombu's marks. */
export function needsCare(text: string): boolean {
  return text.includes("__type__") || LONG_INTEGER.test(text);
}

/**
 * Reads JSON as Python writes it. Integers beyond 2^53 become BigInt, kombu's marks `Date` (datetime), `Uint8Array`
 * (bytes, base64) or text (date, time, decimal, uuid).
 * @throws {SyntaxError} When it is no JSON, has an unknown `__type__`, or nests too deep.
 */
export function parsePythonJson(text: string): unknown {
  if (needsCare(text)) return new Reader(text).read();
  return parsePlainJson(text);
}

/** The same for a text that does not need care, which is not looked for here. @throws {SyntaxError} */
export function parsePlainJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (text.includes("NaN") || text.includes("Infinity")) return new Reader(text).read();
    throw error;
  }
}

/**
 * Writes a value as JSON that kombu reads back. NaN and the infinities are written as tokens, BigInt as digits, -0 as
 * `-0.0`, a `Date` as kombu's datetime, bytes as kombu's base64; for the rest see {@linkcode toPlain}.
 * `root` is how an error's path names the whole value.
 * @throws {UnserializableError} For what no message can carry, with its path.
 */
export function stringifyPythonJson(value: unknown, root = "$"): string {
  return isJsonExact(value) ? JSON.stringify(value) : write(toPlain(value, root));
}

function write(value: PlainValue): string {
  switch (typeof value) {
    case "number":
      if (value !== value) return "NaN";
      if (value === Infinity) return "Infinity";
      if (value === -Infinity) return "-Infinity";
      return value === 0 && 1 / value < 0 ? "-0.0" : String(value);
    case "bigint":
    case "boolean":
      return String(value);
    case "string":
      return JSON.stringify(value);
  }
  if (value === null) return "null";
  if (Array.isArray(value)) return "[" + value.map(write).join(", ") + "]";
  if (value instanceof Date) return mark("datetime", formatIso(value.getTime()));
  if (value instanceof Uint8Array) return mark("base64", encodeBase64(value));
  const fields: string[] = [];
  for (const key of Object.keys(value)) fields.push(JSON.stringify(key) + ": " + write(value[key]));
  return "{" + fields.join(", ") + "}";
}

function mark(type: string, value: string): string {
  return `{"__type__": "${type}", "__value__": "${value}"}`;
}

const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
/** Python's own limit for reading an integer; longer ones would cost quadratic time. */
const MAX_DIGITS = 4300;
const MAX_DEPTH = 1000;

/** The slow way, for the texts that `JSON.parse` would refuse or change: one pass, recursive. */
class Reader {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): unknown {
    const value = this.#value();
    this.#space();
    if (this.#at < this.#text.length) throw this.#unexpected();
    return value;
  }

  #value(): unknown {
    this.#space();
    switch (this.#text[this.#at]) {
      case "{":
        return this.#object();
      case "[":
        return this.#array();
      case '"':
        return this.#string();
      case "t":
        return this.#word("true", true);
      case "f":
        return this.#word("false", false);
      case "n":
        return this.#word("null", null);
      case "N":
        return this.#word("NaN", NaN);
      case "I":
        return this.#word("Infinity", Infinity);
      case "-":
        if (this.#text[this.#at + 1] === "I") return this.#word("-Infinity", -Infinity);
    }
    return this.#number();
  }

  #object(): unknown {
    const object: Record<string, unknown> = {};
    this.#enter();
    for (let first = true; !this.#closes("}", first); first = false) {
      if (this.#text[this.#at] !== '"') throw this.#unexpected();
      const key = this.#string();
      this.#space();
      if (this.#text[this.#at] !== ":") throw this.#unexpected();
      this.#at++;
      put(object, key, this.#value());
    }
    return typeof object.__type__ === "string" ? unmark(object) : object;
  }

  #array(): unknown[] {
    const array: unknown[] = [];
    this.#enter();
    for (let first = true; !this.#closes("]", first); first = false) array.push(this.#value());
    return array;
  }

  #enter(): void {
    this.#at++;
    if (++this.#depth > MAX_DEPTH) throw new SyntaxError(`JSON nests deeper than ${MAX_DEPTH} levels`);
  }

  /** Passes the closing bracket (true), or the comma before the next item (false). */
  #closes(bracket: string, first: boolean): boolean {
    this.#space();
    if (this.#text[this.#at] === bracket) {
      this.#at++;
      this.#depth--;
      return true;
    }
    if (!first) {
      if (this.#text[this.#at] !== ",") throw this.#unexpected();
      this.#at++;
      this.#space();
      if (this.#text[this.#at] === bracket) throw this.#unexpected();
    }
    return false;
  }

  #string(): string {
    const start = this.#at;
    let end = start;
    do {
      end = this.#text.indexOf('"', end + 1);
      if (end < 0) throw this.#unexpected();
    } while (this.#isEscaped(end));
    this.#at = end + 1;
    return JSON.parse(this.#text.slice(start, end + 1));
  }

  #isEscaped(at: number): boolean {
    let backslashes = 0;
    while (this.#text.charCodeAt(at - 1 - backslashes) === 92) backslashes++;
    return backslashes % 2 === 1;
  }

  #number(): number | bigint {
    NUMBER.lastIndex = this.#at;
    const match = NUMBER.exec(this.#text);
    if (match === null) throw this.#unexpected();
    this.#at = NUMBER.lastIndex;
    const value = Number(match[0]);
    if (Number.isSafeInteger(value) || match[1] !== undefined || match[2] !== undefined) return value;
    if (match[0].length > MAX_DIGITS) {
      throw new SyntaxError(`JSON has an integer of ${match[0].length} digits`);
    }
    return BigInt(match[0]);
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw this.#unexpected();
    this.#at += word.length;
    return value;
  }

  #space(): void {
    for (;; this.#at++) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 32 && code !== 10 && code !== 13 && code !== 9) return;
    }
  }

  #unexpected(): SyntaxError {
    const found = this.#at < this.#text.length ? JSON.stringify(this.#text[this.#at]) : "end";
    return new SyntaxError(`Unexpected ${found} at position ${this.#at} of JSON`);
  }
}

/** The value behind kombu's mark; objects that only look like one stay as they are. */
function unmark(object: Record<string, unknown>): unknown {
  if (!("__value__" in object) || Object.keys(object).length !== 2) return object;
  const type = object.__type__ as string;
  const value = object.__value__;
  try {
    switch (type) {
      case "datetime":
        return new Date(parseIso(textOf(value)));
      case "date":
      case "time":
      case "decimal":
        return textOf(value);
      case "uuid":
        return textOf((value as { hex?: unknown } | null)?.hex)
          .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
      case "bytes":
        return new TextEncoder().encode(textOf(value));
      case "base64":
        return decodeBase64(textOf(value));
    }
  } catch (cause) {
    throw new SyntaxError(`JSON has a "__type__" of "${type}" with a wrong "__value__"`, { cause });
  }
  throw new SyntaxError(`JSON has an unknown "__type__": ${JSON.stringify(type.slice(0, 80))}`);
}

function textOf(value: unknown): string {
  if (typeof value !== "string") throw new TypeError(`expected text, found ${typeof value}`);
  return value;
}
