// deno-lint-ignore-file require-await -- the contract is asynchronous; nothing in a process's own memory waits
/** Chords and saved groups of `memory:`: between **run** and **settle**, in one process. */
import type { Clock } from "../clock.ts";
import type {
  ChordCount,
  ChordExtension,
  ChordPart,
  ChordStart,
  ChordStore,
  GroupStore,
} from "./chord_store.ts";

interface Chord {
  size: number;
  /** By the ids and indexes of their tasks; emptied when the body is sent. */
  readonly parts: Map<string, ChordPart>;
  readonly added: Set<string>;
  sent: boolean;
  /** Milliseconds since 1970. */
  expires: number;
}

interface SavedGroup {
  readonly text: string;
  readonly expires: number;
}

export class MemoryChords implements ChordStore, GroupStore {
  readonly #clock: Clock;
  /** The one that was touched last stands last. */
  readonly #chords = new Map<string, Chord>();
  readonly #groups = new Map<string, SavedGroup>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async begin(chords: readonly ChordStart[]): Promise<void> {
    for (const { groupId, size, ttl, group } of chords) {
      this.#sweepSome();
      if (group !== undefined) this.#save(groupId, group, ttl);
      const known = this.#find(groupId, ttl);
      if (known !== undefined) continue;
      const expires = this.#expiry(ttl);
      this.#chords.set(groupId, { size, parts: new Map(), added: new Set(), sent: false, expires });
    }
  }

  async count(parts: readonly ChordPart[]): Promise<ChordCount[]> {
    return parts.map((part) => {
      const chord = this.#find(part.groupId, part.ttl);
      if (chord === undefined) return "unknown";
      if (chord.sent) return "sent";
      const which = `${part.taskId}:${part.index}`;
      if (!chord.parts.has(which)) chord.parts.set(which, part);
      return chord.parts.size >= chord.size + chord.added.size ? "complete" : "waiting";
    });
  }

  async parts(groupId: string): Promise<string[]> {
    const parts = [...this.#chords.get(groupId)?.parts.values() ?? []];
    const placeOf = ({ index }: ChordPart) => index ?? Number.MAX_SAFE_INTEGER;
    return parts.sort((a, b) => placeOf(a) - placeOf(b)).map(({ text }) => text);
  }

  async end(chords: readonly { readonly groupId: string; readonly ttl: number }[]): Promise<void> {
    for (const { groupId, ttl } of chords) {
      const chord = this.#find(groupId, ttl);
      if (chord === undefined) continue;
      chord.sent = true;
      chord.parts.clear();
      chord.added.clear();
    }
  }

  async extend(chords: readonly ChordExtension[]): Promise<void> {
    for (const { groupId, taskIds, ttl } of chords) {
      const chord = this.#find(groupId, ttl);
      if (chord === undefined || chord.sent) continue;
      for (const id of taskIds) chord.added.add(id);
    }
  }

  async save(groupId: string, text: string, ttl: number): Promise<void> {
    this.#save(groupId, text, ttl);
  }

  async restore(groupId: string): Promise<string | null> {
    const group = this.#groups.get(groupId);
    return group !== undefined && group.expires > this.#clock.now() ? group.text : null;
  }

  async delete(groupId: string): Promise<void> {
    this.#groups.delete(groupId);
  }

  #save(groupId: string, text: string, ttl: number): void {
    this.#groups.delete(groupId);
    this.#groups.set(groupId, { text, expires: this.#expiry(ttl) });
    this.#sweepSome();
  }

  /** A chord that has not expired; from now on it lives for `ttl` seconds more. */
  #find(groupId: string, ttl: number): Chord | undefined {
    const chord = this.#chords.get(groupId);
    if (chord === undefined) return undefined;
    this.#chords.delete(groupId);
    if (chord.expires <= this.#clock.now()) return undefined;
    chord.expires = this.#expiry(ttl);
    this.#chords.set(groupId, chord);
    return chord;
  }

  #expiry(ttl: number): number {
    return ttl === 0 ? Infinity : this.#clock.now() + ttl * 1000;
  }

  /** Drops what was touched longest ago and has expired, at most two of each at a time. */
  #sweepSome(): void {
    const now = this.#clock.now();
    for (const kept of [this.#chords, this.#groups]) {
      let looks = 2;
      for (const [id, { expires }] of kept) {
        if (looks-- === 0 || expires > now) break;
        kept.delete(id);
      }
    }
  }
}
