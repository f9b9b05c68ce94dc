/** One time at which an entry is due, and the id of the task that is **published** for it. */
import { createHash } from "node:crypto";
import type { CatchUp } from "../config/schedule.ts";
import type { Timetable } from "./timetable.ts";

/** What is to be done about an entry now. Times are milliseconds since 1970. */
export type Look =
  /** To be sent for this time. Missed ones before it are made up for by it. */
  | { readonly kind: "due"; readonly at: number }
  /** Nothing before the next time. */
  | { readonly kind: "wait"; readonly next: number }
  /** It was due at this time, too long ago for an entry that makes up for nothing. */
  | { readonly kind: "missed"; readonly at: number }
  /** The clock was set back so far that the entry begins anew. */
  | { readonly kind: "anew"; readonly first: number };

/** What an entry wants for what it has missed. */
export interface Patience {
  readonly catchUp: CatchUp;
  /** Milliseconds that are not taken for missed: another scheduler may have taken over meanwhile. */
  readonly late: number;
}

/** Looks at an entry whose last time was `last`. */
export function lookAt(timetable: Timetable, last: number, now: number, { catchUp, late }: Patience): Look {
  if (last - now > timetable.ahead) return { kind: "anew", first: timetable.first(now) };
  const at = timetable.latest(last, now);
  if (at === undefined) return { kind: "wait", next: timetable.next(last) };
  return { kind: catchUp === "none" && now - at > late ? "missed" : "due", at };
}

/**
 * The id of the task for one time of an entry: always the same, whoever sends it, so that a second copy is known for what
 * it is. A UUID of version 8 that begins with the time, as other ids of tasks do.
 */
export function occurrenceId(key: string, at: number): string {
  const hash = createHash("sha256").update(`${key}\n${at}`).digest();
  const time = Math.floor(at).toString(16).padStart(12, "0");
  hash[0] = hash[0] & 0x0f | 0x80;
  hash[2] = hash[2] & 0x3f | 0x80;
  const rest = hash.toString("hex", 0, 10);
  return [time.slice(0, 8), time.slice(8), rest.slice(0, 4), rest.slice(4, 8), rest.slice(8)].join("-");
}
