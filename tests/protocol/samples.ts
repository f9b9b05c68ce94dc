/** Messages captured from real Python Celery (`tests/samples/`), as the golden tests of the protocol read them. */
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";

export interface Sample {
  readonly name: string;
  readonly call: string;
  readonly [key: string]: unknown;
}

export function samplesOf(file: string): Sample[] {
  const url = new URL(`../samples/${file}.json`, import.meta.url);
  return JSON.parse(readFileSync(url, "utf8")).samples;
}

/** The envelopes of one capture from Redis lists, with the name of the call that wrote each. */
export function envelopesOf(file: string): { name: string; text: string }[] {
  return samplesOf(file).flatMap((sample) =>
    Object.values(sample.lists as Record<string, string[]>).flat().map((text) => ({
      name: sample.name,
      text,
    }))
  );
}

/** The first envelope that the call of this name wrote. */
export function envelopeOf(file: string, name: string): string {
  const found = envelopesOf(file).find((sample) => sample.name === name);
  if (found === undefined) throw new Error(`${file} has no sample "${name}"`);
  return found.text;
}

/** Numbers from 0 up to 1 that are the same in every run. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** An envelope as kombu would write it around this body and these headers. */
export function envelopeAround(
  body: unknown,
  headers: unknown = {},
  fields: Record<string, unknown> = {},
): string {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return JSON.stringify({
    body: Buffer.from(text).toString("base64"),
    "content-encoding": "utf-8",
    "content-type": "application/json",
    headers,
    properties: {
      correlation_id: "c",
      reply_to: "",
      delivery_mode: 2,
      delivery_info: { exchange: "", routing_key: "celery" },
      priority: 0,
      body_encoding: "base64",
      delivery_tag: "t",
    },
    ...fields,
  });
}
