/**
 * The contract of a store that counts the parts of chords (Celery: `on_chord_part_return`): between **run** and **settle**
 * of a task that is a part of one. Memory, SQLite and Redis implement it beside their results; nothing else in the code
 * knows how parts are kept.
 */
import type { ChordExtension, ChordPart, ChordStart, EndedPart } from "../protocol/chord.ts";

export type { ChordExtension, ChordPart, ChordStart, EndedPart };

/**
 * What became of the count of a part: others are missing (`waiting`); all are there, and the body is to be sent (`complete`);
 * it was sent before (`sent`); there is no such chord here, it was never begun or has expired (`unknown`).
 */
export type ChordCount = "waiting" | "complete" | "sent" | "unknown";

export interface ChordStore {
  /** Says how many parts chords have, before any of them is sent (Celery: `set_chord_size`). Once more is harmless. */
  begin(chords: readonly ChordStart[]): Promise<void>;

  /**
   * Counts parts, each once by its task's id: the first outcome stays. In step with `parts`. A chord that is complete stays so,
   * for each part that comes again, until {@linkcode ChordStore.end}.
   */
  count(parts: readonly ChordPart[]): Promise<ChordCount[]>;

  /** The texts of a chord's parts by their indexes. */
  parts(groupId: string): Promise<string[]>;

  /**
   * The body was sent, and the broker has confirmed it: a mark alone stays, for `ttl` seconds, so that a part that comes again
   * is `sent`.
   */
  end(chords: readonly { readonly groupId: string; readonly ttl: number }[]): Promise<void>;

  /**
   * Adds parts to those that are to end (Celery: `add_to_chord`), each once by its task's id: a part that adds them may come
   * again.
   */
  extend(chords: readonly ChordExtension[]): Promise<void>;
}

/** Groups by their ids, as Celery's `GroupResult.save` keeps them (`celery-taskset-meta-GID`). */
export interface GroupStore {
  /** `text` is Celery's JSON; `ttl` in seconds, 0 keeps it for ever. */
  save(groupId: string, text: string, ttl: number): Promise<void>;
  /** The text that was saved, or null. */
  restore(groupId: string): Promise<string | null>;
  /** Drops what was saved. */
  delete(groupId: string): Promise<void>;
}
