/** Entries that other programs, bugs and accidents leave in a queue; what becomes of each is known beforehand. */
import { uid } from "../../runtime/protocol/uid.ts";
import { bodyOf, envelope } from "./raw_queue.ts";
import { below, oneOf } from "./seed.ts";

/** One entry, and what it must become. */
export interface Entry {
  readonly bytes: Uint8Array;
  /** It runs, and its result is this JSON value to the letter; without, it becomes a dead letter. */
  readonly runs?: { readonly id: string; readonly value: string };
}

type Random = () => number;

const utf8 = new TextEncoder();
const digits = (random: Random, count: number) =>
  String(1 + below(random, 9)) + Array.from({ length: count - 1 }, () => below(random, 10)).join("");
const hex = (code: number) => `\\u${code.toString(16).padStart(4, "0")}`;

/** JSON values that must not change on their way; written as our own results write them. */
const values: readonly ((random: Random) => string)[] = [
  (random) => `${oneOf(random, ["", "-"])}${digits(random, 17 + below(random, 30))}`,
  (random) => oneOf(random, ["NaN", "Infinity", "-Infinity", "-0.0", "null", "true", "[]", "{}", `""`]),
  (random) => `"${hex(0xd800 + below(random, 0x800))}"`,
  (random) => `"a${hex(0xdc00 + below(random, 0x400))}${hex(0xd800 + below(random, 0x400))}b"`,
  (random) => `"${hex(below(random, 8))}\\t\\n\\"\\\\ ${String.fromCodePoint(0xa0 + below(random, 0x500))}"`,
  (random) => `"${String.fromCodePoint(0x1f300 + below(random, 200))}\ufffd\u2028\ufeff"`,
  (random) => String(below(random, 1_000_000) / 64),
  (random) => `"${"x".repeat(below(random, 3_000))}"`,
  () => `"redelivered\\": true, \\"headers\\": {"`,
];

function value(random: Random, depth = 0): string {
  if (depth > 3 || random() < 0.5) return oneOf(random, values)(random);
  const items = Array.from({ length: below(random, 4) }, () => value(random, depth + 1));
  if (random() < 0.5) return `[${items.join(", ")}]`;
  return `{${items.map((item, i) => `"${"k".repeat(i + 1)}": ${item}`).join(", ")}}`;
}

const right: readonly ((random: Random) => Entry)[] = [
  (random) => {
    const id = uid(), argument = value(random);
    return { bytes: utf8.encode(envelope(id, "jobs.echo", bodyOf(argument))), runs: { id, value: argument } };
  },
  (random) => {
    const id = uid(), argument = value(random);
    const text = `{"task": "jobs.echo", "id": "${id}", "args": [${argument}], "retries": 0}`;
    return { bytes: utf8.encode(text), runs: { id, value: argument } };
  },
];

const wrong: readonly ((random: Random) => Uint8Array)[] = [
  (random) => Uint8Array.from({ length: below(random, 300) }, () => below(random, 256)),
  (random) =>
    Uint8Array.from({ length: 1 + below(random, 300) }, (_, i) => i === 0 ? 0x7b : below(random, 256)),
  (random) => utf8.encode(value(random).replace(/^\{/, "[")),
  (random) => utf8.encode(`{"value": ${value(random)}}`),
  // Cut short anywhere, in the middle of a character too.
  (random) => {
    const { bytes } = oneOf(random, right)(random);
    return bytes.slice(0, 1 + below(random, bytes.length - 1));
  },
  // A body that is no call.
  (random) =>
    utf8.encode(
      envelope(uid(), "jobs.echo", oneOf(random, ["[]", "{}", "[[]]", "", "null", "NaN", "[[1], {}]"])),
    ),
  // A byte that is not UTF-8 somewhere inside of a text.
  (random) => {
    const mark = "~here~";
    const text = random() < 0.5
      ? `{"task": "jobs.echo", "id": "${uid()}", "args": ["${mark}"]}`
      : envelope(uid(), "jobs.echo", bodyOf(value(random)), { headers: { note: mark } });
    const bytes = utf8.encode(text);
    bytes[text.indexOf(mark) + below(random, mark.length)] = 0x80 + below(random, 0x80);
    return bytes;
  },
];

/** `count` entries of all kinds, no two alike. */
export function mixedUp(count: number, random: Random): Entry[] {
  return Array.from({ length: count }, () => {
    return random() < 0.5 ? oneOf(random, right)(random) : { bytes: oneOf(random, wrong)(random) };
  });
}

/** JSON without the space between its parts, which nobody promises to keep. */
export function squeezed(json: string): string {
  return json.replace(/("(?:[^"\\]|\\.)*")|\s+/g, (_, text = "") => text);
}
