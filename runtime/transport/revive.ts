/** What a dead letter is when it goes back to its queue: the same message, as if nobody had ever tried to run it. */
import { isRecord, parseEnvelope } from "../protocol/envelope.ts";
import { markFresh } from "../protocol/redelivery.ts";
import { decodeStrictly } from "./strict_text.ts";

/** A message that goes back. */
export interface Revived {
  /** Undefined for bytes that are no text: they go back as they are. */
  readonly text: string | undefined;
  readonly priority: number;
}

/** Makes it of the bytes that were kept. */
export function revive(body: Uint8Array): Revived {
  const text = decodeStrictly(body);
  if (text === undefined) return { text, priority: 0 };
  return { text: markFresh(text), priority: priorityOf(text) };
}

function priorityOf(text: string): number {
  try {
    const { properties } = parseEnvelope(text);
    const priority = isRecord(properties) ? Number(properties.priority) : 0;
    return Math.min(9, Math.max(0, Math.trunc(priority) || 0));
  } catch {
    return 0;
  }
}
