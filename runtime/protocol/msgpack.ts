/**
 * MessagePack as kombu writes it, for the bodies of messages. Integers of 64 bits are BigInt where a number can't hold
 * them. Dates are read and not written: kombu refuses them, and a Celery that stores a call with its result fails on
 * the timestamp that it would read.
 */
import { decode, encode, ExtData } from "@msgpack/msgpack";
import { type PlainValue, put, toPlain, UnserializableError } from "./plain_value.ts";

/**
 * @throws {UnserializableError} For what no message can carry, for dates, for integers of more than 64 bits, and for text
 * with lone surrogates, which UTF-8 has no bytes for.
 */
export function writeMsgpack(value: unknown): Uint8Array {
  const plain = toPlain(value);
  refuseUnwritable(plain, "$");
  return encode(plain, { useBigInt64: true, maxDepth: 1000 });
}

/** @throws {RangeError|Error} When it is no MessagePack, or announces more than it holds. */
export function readMsgpack(bytes: Uint8Array): unknown {
  checkLengths(bytes);
  return ownValue(decode(bytes, { useBigInt64: true }));
}

function refuseUnwritable(value: PlainValue, path: string): void {
  if (typeof value === "bigint") {
    if (value >= 2n ** 64n || value < -(2n ** 63n)) {
      throw new UnserializableError(path, "is an integer of more than 64 bits: send it as text, or use json");
    }
  } else if (typeof value === "string") {
    if (!value.isWellFormed()) {
      throw new UnserializableError(
        path,
        "has a lone surrogate, which has no UTF-8: mend the text, or use json",
      );
    }
  } else if (value instanceof Date) {
    throw new UnserializableError(
      path,
      "is a date, which kombu's MessagePack has no form for: send it as text, or use json",
    );
  } else if (Array.isArray(value)) {
    value.forEach((item, i) => refuseUnwritable(item, `${path}[${i}]`));
  } else if (typeof value === "object" && value !== null && !(value instanceof Uint8Array)) {
    for (const key of Object.keys(value)) {
      refuseUnwritable(key, `${path}.${key}`);
      refuseUnwritable((value as Record<string, PlainValue>)[key], `${path}.${key}`);
    }
  }
}

/**
 * Refuses MessagePack that announces more than it holds: a list of a few bytes may claim billions of items, and the
 * decoder allocates them before it looks. Every announced item needs a byte at least.
 */
function checkLengths(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  for (let left = 1; left > 0; left--) {
    if (left > bytes.length - at) throw new RangeError(`it ends within a value, at byte ${bytes.length}`);
    const type = bytes[at++];
    if (type < 0x80 || type >= 0xe0) continue;
    if (type < 0x90) left += (type & 15) * 2;
    else if (type < 0xa0) left += type & 15;
    else if (type < 0xc0) at += type & 31;
    else {
      const [form, width, fixed] = FORMS[type - 0xc0];
      const count = width === 1
        ? view.getUint8(at)
        : width === 2
        ? view.getUint16(at)
        : width === 4
        ? view.getUint32(at)
        : 0;
      at += width + fixed + (form === "bytes" ? count : 0);
      if (form === "list") left += count;
      if (form === "map") left += count * 2;
    }
  }
}

/** The formats from 0xc0 on: what the length counts, the length's own bytes, and the bytes of a fixed size after it. */
const FORMS: readonly (readonly ["none" | "bytes" | "list" | "map", 0 | 1 | 2 | 4, number])[] = [
  ...Array(4).fill(["none", 0, 0]), // nil, never used, false, true
  ["bytes", 1, 0], // bin
  ["bytes", 2, 0],
  ["bytes", 4, 0],
  ["bytes", 1, 1], // ext: a length, a type, the bytes
  ["bytes", 2, 1],
  ["bytes", 4, 1],
  ...[4, 8, 1, 2, 4, 8, 1, 2, 4, 8].map((bytes) => ["none", 0, bytes] as const), // float, uint, int
  ...[2, 3, 5, 9, 17].map((bytes) => ["none", 0, bytes] as const), // fixext: a type, the bytes
  ["bytes", 1, 0], // str
  ["bytes", 2, 0],
  ["bytes", 4, 0],
  ["list", 2, 0],
  ["list", 4, 0],
  ["map", 2, 0],
  ["map", 4, 0],
];

/** A decoded value as tasks get it: integers that fit are numbers, bytes stand in memory of their own. */
function ownValue(value: unknown): unknown {
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (value instanceof ExtData) throw new RangeError(`extension ${value.type} is not known`);
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = ownValue(value[i]);
    return value;
  }
  const object = value as Record<string, unknown>;
  for (const key of Object.keys(object)) put(object, key, ownValue(object[key]));
  return object;
}
