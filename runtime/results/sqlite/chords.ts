/** Chords and saved groups in a database file: between **run** and **settle**, each step one transaction. */
import type { Clock } from "../../clock.ts";
import type { Database } from "../../transport/sqlite/database.ts";
import type {
  ChordCount,
  ChordExtension,
  ChordPart,
  ChordStart,
  ChordStore,
  GroupStore,
} from "../chord_store.ts";
import { StoredChords } from "./stored_chords.ts";

export class SqliteChords implements ChordStore, GroupStore {
  readonly #database: () => Promise<Database>;
  readonly #clock: Clock;

  /** `database` is the connection, opened when first asked for. */
  constructor(database: () => Promise<Database>, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
  }

  begin(chords: readonly ChordStart[]): Promise<void> {
    return this.#write((rows, now) => rows.begin(chords, now));
  }

  count(parts: readonly ChordPart[]): Promise<ChordCount[]> {
    return this.#write((rows, now) => rows.count(parts, now));
  }

  parts(groupId: string): Promise<string[]> {
    return this.#read((rows) => rows.parts(groupId));
  }

  end(chords: readonly { readonly groupId: string; readonly ttl: number }[]): Promise<void> {
    return this.#write((rows, now) => rows.end(chords, now));
  }

  extend(chords: readonly ChordExtension[]): Promise<void> {
    return this.#write((rows, now) => rows.extend(chords, now));
  }

  save(groupId: string, text: string, ttl: number): Promise<void> {
    return this.#write((rows, now) => rows.save(groupId, text, ttl, now));
  }

  restore(groupId: string): Promise<string | null> {
    return this.#read((rows, now) => rows.restore(groupId, now));
  }

  delete(groupId: string): Promise<void> {
    return this.#write((rows) => rows.delete(groupId));
  }

  async #write<T>(work: (rows: StoredChords, now: number) => T): Promise<T> {
    const db = await this.#database();
    return await db.write(() => work(db.part(StoredChords), this.#clock.now()));
  }

  async #read<T>(work: (rows: StoredChords, now: number) => T): Promise<T> {
    const db = await this.#database();
    return await db.read(() => work(db.part(StoredChords), this.#clock.now()));
  }
}
