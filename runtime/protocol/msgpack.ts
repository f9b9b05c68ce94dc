/**
 * MessagePack as kombu writes it, for the bodies of messages. Written here and not taken from a package: loading one
 * costs each isolate more than starting it, and this one bounds what a hostile message can make it allocate.
 *
 * Integers of 64 bits are BigInt where a number can't hold them. A `Date` becomes MessagePack's own timestamp: kombu
 * refuses to write dates, and reads this one as `msgpack.Timestamp`.
 */
import { type PlainValue, put, toPlain, UnserializableError } from "./plain_value.ts";

/**
 * @throws {UnserializableError} For what no message can carry, for integers of more than 64 bits, and for text with
 * lone surrogates, which UTF-8 has no bytes for.
 */
export function writeMsgpack(value: unknown): Uint8Array {
  const plain = toPlain(value);
  const refused = findRefused(plain);
  if (refused !== undefined) throw new UnserializableError("$" + refused.path, refused.problem);
  const writer = new Writer();
  writer.write(plain);
  return writer.finish();
}

/** @throws {SyntaxError} When it is no MessagePack, is cut, nests too deep, or announces more than it holds. */
export function readMsgpack(bytes: Uint8Array): unknown {
  return new Reader(bytes).read();
}

const MAX_UINT64 = 2n ** 64n - 1n;
const MIN_INT64 = -(2n ** 63n);
/** Past this size of its content a string, list or map needs a length of four bytes. */
const LONG = 0xffff;
const TIMESTAMP = -1;
/** A timestamp is the longest of what is written without looking for room. */
const LONGEST_HEAD = 15;
/** As deep as a value may nest where it is written. */
const MAX_DEPTH = 1000;

interface Refused {
  readonly path: string;
  readonly problem: string;
}

/** The first value inside that JSON could carry and MessagePack can't. */
function findRefused(value: PlainValue): Refused | undefined {
  if (typeof value === "string") {
    if (value.isWellFormed()) return undefined;
    return { path: "", problem: "has a lone surrogate, which has no UTF-8: mend the text, or use json" };
  }
  if (typeof value === "bigint") {
    if (value <= MAX_UINT64 && value >= MIN_INT64) return undefined;
    return { path: "", problem: "is an integer of more than 64 bits: send it as text, or use json" };
  }
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return undefined;
  for (const [key, item] of Array.isArray(value) ? value.entries() : Object.entries(value)) {
    const refused = typeof key === "string" && findRefused(key) || findRefused(item);
    if (!refused) continue;
    return { ...refused, path: (typeof key === "string" ? `.${key}` : `[${key}]`) + refused.path };
  }
  return undefined;
}

class Writer {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;
  readonly #utf8 = new TextEncoder();

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  write(value: PlainValue): void {
    this.#reserve(LONGEST_HEAD);
    switch (typeof value) {
      case "boolean":
        return this.#byte(value ? 0xc3 : 0xc2);
      case "number":
        return this.#number(value);
      case "bigint":
        return this.#bigint(value);
      case "string":
        return this.#string(value);
    }
    if (value === null) return this.#byte(0xc0);
    if (value instanceof Date) return this.#timestamp(value.getTime());
    if (value instanceof Uint8Array) {
      this.#head(value.length, 0xc4, 0xc5, 0xc6);
      return this.#append(value);
    }
    if (Array.isArray(value)) {
      if (value.length < 16) this.#byte(0x90 | value.length);
      else this.#head(value.length, undefined, 0xdc, 0xdd);
      for (const item of value) this.write(item);
      return;
    }
    const keys = Object.keys(value);
    if (keys.length < 16) this.#byte(0x80 | keys.length);
    else this.#head(keys.length, undefined, 0xde, 0xdf);
    for (const key of keys) {
      this.#string(key);
      this.write((value as Record<string, PlainValue>)[key]);
    }
  }

  #number(value: number): void {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) {
      this.#byte(0xcb);
      this.#view.setFloat64(this.#next(8), value);
    } else if (value >= 0) {
      if (value < 0x80) this.#byte(value);
      else if (value <= 0xffffffff) this.#head(value, 0xcc, 0xcd, 0xce);
      else this.#bigint(BigInt(value));
    } else if (value >= -32) {
      this.#byte(value & 0xff);
    } else if (value >= -0x80) {
      this.#byte(0xd0);
      this.#byte(value & 0xff);
    } else if (value >= -0x8000) {
      this.#byte(0xd1);
      this.#view.setInt16(this.#next(2), value);
    } else if (value >= -0x80000000) {
      this.#byte(0xd2);
      this.#view.setInt32(this.#next(4), value);
    } else {
      this.#bigint(BigInt(value));
    }
  }

  #bigint(value: bigint): void {
    if (value >= 0n) {
      if (value <= 0xffffffffn) return this.#number(Number(value));
      this.#byte(0xcf);
      this.#view.setBigUint64(this.#next(8), value);
    } else {
      if (value >= -0x80000000n) return this.#number(Number(value));
      this.#byte(0xd3);
      this.#view.setBigInt64(this.#next(8), value);
    }
  }

  #string(text: string): void {
    this.#reserve(LONGEST_HEAD);
    const bytes = this.#utf8.encode(text);
    if (bytes.length < 32) this.#byte(0xa0 | bytes.length);
    else this.#head(bytes.length, 0xd9, 0xda, 0xdb);
    this.#append(bytes);
  }

  /** Seconds since 1970 and nanoseconds, in the form that holds any time. */
  #timestamp(ms: number): void {
    const seconds = Math.floor(ms / 1000);
    this.#byte(0xc7);
    this.#byte(12);
    this.#byte(TIMESTAMP & 0xff);
    this.#view.setUint32(this.#next(4), (ms - seconds * 1000) * 1e6);
    this.#view.setBigInt64(this.#next(8), BigInt(seconds));
  }

  /** A type and its number in as few bytes as hold it; `one` is left out where a type has no such form. */
  #head(count: number, one: number | undefined, two: number, four: number): void {
    if (one !== undefined && count <= 0xff) {
      this.#byte(one);
      this.#byte(count);
    } else if (count <= LONG) {
      this.#byte(two);
      this.#view.setUint16(this.#next(2), count);
    } else {
      this.#byte(four);
      this.#view.setUint32(this.#next(4), count);
    }
  }

  #byte(value: number): void {
    this.#bytes[this.#length++] = value;
  }

  #append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Where the next `count` bytes go; there is room for them. */
  #next(count: number): number {
    const at = this.#length;
    this.#length += count;
    return at;
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const larger = new Uint8Array((this.#length + count) * 2);
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;
  #depth = 0;
  readonly #utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  read(): unknown {
    const value = this.#value();
    if (this.#at < this.#bytes.length) throw new SyntaxError(`more than one value, at byte ${this.#at}`);
    return value;
  }

  #value(): unknown {
    const type = this.#uint(1);
    if (type < 0x80) return type;
    if (type < 0x90) return this.#map(type & 15);
    if (type < 0xa0) return this.#list(type & 15);
    if (type < 0xc0) return this.#text(type & 31);
    if (type >= 0xe0) return type - 0x100;
    switch (type) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.#take(this.#uint(1)).slice();
      case 0xc5:
        return this.#take(this.#uint(2)).slice();
      case 0xc6:
        return this.#take(this.#uint(4)).slice();
      case 0xc7:
        return this.#extension(this.#uint(1));
      case 0xc8:
        return this.#extension(this.#uint(2));
      case 0xc9:
        return this.#extension(this.#uint(4));
      case 0xca:
        return this.#view.getFloat32(this.#step(4));
      case 0xcb:
        return this.#view.getFloat64(this.#step(8));
      case 0xcc:
        return this.#uint(1);
      case 0xcd:
        return this.#uint(2);
      case 0xce:
        return this.#uint(4);
      case 0xcf:
        return narrow(this.#view.getBigUint64(this.#step(8)));
      case 0xd0:
        return this.#view.getInt8(this.#step(1));
      case 0xd1:
        return this.#view.getInt16(this.#step(2));
      case 0xd2:
        return this.#view.getInt32(this.#step(4));
      case 0xd3:
        return narrow(this.#view.getBigInt64(this.#step(8)));
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#extension(1 << (type - 0xd4));
      case 0xd9:
        return this.#text(this.#uint(1));
      case 0xda:
        return this.#text(this.#uint(2));
      case 0xdb:
        return this.#text(this.#uint(4));
      case 0xdc:
        return this.#list(this.#uint(2));
      case 0xdd:
        return this.#list(this.#uint(4));
      case 0xde:
        return this.#map(this.#uint(2));
      case 0xdf:
        return this.#map(this.#uint(4));
    }
    throw new SyntaxError(`byte 0x${type.toString(16)} begins no value, at byte ${this.#at - 1}`);
  }

  #list(count: number): unknown[] {
    this.#enter(count);
    const list: unknown[] = [];
    for (let i = 0; i < count; i++) list.push(this.#value());
    this.#depth--;
    return list;
  }

  #map(count: number): Record<string, unknown> {
    this.#enter(count * 2);
    const map: Record<string, unknown> = {};
    for (let i = 0; i < count; i++) {
      const key = this.#value();
      if (typeof key !== "string" && typeof key !== "number") {
        throw new SyntaxError(`a key that is neither text nor number, at byte ${this.#at}`);
      }
      put(map, String(key), this.#value());
    }
    this.#depth--;
    return map;
  }

  #text(length: number): string {
    return this.#utf8.decode(this.#take(length));
  }

  #extension(length: number): Date {
    const type = this.#view.getInt8(this.#step(1));
    if (type !== TIMESTAMP || (length !== 4 && length !== 8 && length !== 12)) {
      throw new SyntaxError(`an extension of type ${type} and ${length} bytes, at byte ${this.#at}`);
    }
    if (length === 4) return new Date(this.#uint(4) * 1000);
    // In 8 bytes the upper 30 bits are nanoseconds and the lower 34 seconds.
    const first = this.#uint(4);
    const nanoseconds = length === 8 ? Math.floor(first / 4) : first;
    const seconds = length === 8
      ? (first % 4) * 2 ** 32 + this.#uint(4)
      : Number(this.#view.getBigInt64(this.#step(8)));
    const date = new Date(seconds * 1000 + Math.floor(nanoseconds / 1e6));
    if (Number.isNaN(date.getTime())) {
      throw new SyntaxError(`a time that no date can hold, at byte ${this.#at}`);
    }
    return date;
  }

  /** Every announced item needs a byte at least, so what announces more is refused before it is allocated. */
  #enter(items: number): void {
    if (items > this.#bytes.length - this.#at) throw this.#cut();
    if (++this.#depth > MAX_DEPTH) throw new SyntaxError(`nested deeper than ${MAX_DEPTH} levels`);
  }

  #uint(width: 1 | 2 | 4): number {
    const at = this.#step(width);
    return width === 1 ? this.#bytes[at] : width === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at);
  }

  #take(length: number): Uint8Array {
    const at = this.#step(length);
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + at, length);
  }

  #step(width: number): number {
    const at = this.#at;
    if (width > this.#bytes.length - at) throw this.#cut();
    this.#at += width;
    return at;
  }

  #cut(): SyntaxError {
    return new SyntaxError(`it ends within a value, at byte ${this.#bytes.length}`);
  }
}

function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
