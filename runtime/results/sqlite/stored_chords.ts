/** Chords and saved groups as rows: the statements of **settle** for tasks that are parts of a chord. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { ChordCount, ChordExtension, ChordPart, ChordStart } from "../chord_store.ts";

/** When a chord expires that is kept for ever: milliseconds since 1970. */
const NEVER = Number.MAX_SAFE_INTEGER;

/** Where what was added to a chord stands, before all parts that have ended. */
const ADDED = -1;

interface ChordRow {
  readonly n: number;
  readonly size: number;
  ended: number;
  readonly sent: number;
}

export class StoredChords {
  readonly #begin: StatementSync;
  readonly #find: StatementSync;
  readonly #add: StatementSync;
  readonly #counted: StatementSync;
  readonly #extend: StatementSync;
  readonly #parts: StatementSync;
  readonly #end: StatementSync;
  readonly #dropParts: StatementSync;
  readonly #drop: StatementSync;
  readonly #expired: StatementSync;
  readonly #save: StatementSync;
  readonly #restore: StatementSync;
  readonly #delete: StatementSync;
  readonly #sweepGroups: StatementSync;

  constructor(db: DatabaseSync) {
    this.#begin = db.prepare("insert into chord(id, size, expires) values(?, ?, ?) on conflict do nothing");
    this.#find = db.prepare("select n, size, ended, sent from chord where id = ? and expires > ?");
    this.#add = db.prepare(
      "insert into chord_part(chord, place, task, body) values(?, ?, ?, ?) on conflict do nothing",
    );
    this.#counted = db.prepare("update chord set ended = ?, expires = ? where n = ?");
    this.#extend = db.prepare("update chord set size = size + ?, expires = ? where n = ?");
    this.#parts = db.prepare(
      `select body from chord_part where chord = (select n from chord where id = ?) and place >= 0 order by place`,
    );
    this.#end = db.prepare("update chord set sent = 1, expires = ? where n = ?");
    this.#dropParts = db.prepare("delete from chord_part where chord = ?");
    this.#drop = db.prepare("delete from chord where n = ?");
    this.#expired = db.prepare("select n from chord where expires <= ? order by expires limit ?");
    this.#save = db.prepare("insert or replace into saved_group(id, expires, body) values(?, ?, ?)");
    this.#restore = db.prepare("select body from saved_group where id = ? and expires > ?");
    this.#delete = db.prepare("delete from saved_group where id = ?");
    this.#sweepGroups = db.prepare(
      "delete from saved_group where id in (select id from saved_group where expires <= ? order by expires limit 2)",
    );
  }

  /** Begins chords, and drops about as many that have expired. In a write transaction, as all that write here. */
  begin(chords: readonly ChordStart[], now: number): void {
    this.#sweep(now, 2 * chords.length);
    for (const { groupId, size, ttl, group } of chords) {
      this.#begin.run(groupId, size, expiry(ttl, now));
      if (group !== undefined) this.save(groupId, group, ttl, now);
    }
  }

  count(parts: readonly ChordPart[], now: number): ChordCount[] {
    const known = new Map<string, { readonly row: ChordRow | undefined; ttl: number }>();
    const counts = parts.map(({ groupId, taskId, index, text, ttl }): ChordCount => {
      let chord = known.get(groupId);
      if (chord === undefined) {
        const row = this.#find.get(groupId, now) as ChordRow | undefined;
        known.set(groupId, chord = { row, ttl });
      }
      const { row } = chord;
      chord.ttl = ttl;
      if (row === undefined) return "unknown";
      if (row.sent) return "sent";
      row.ended += Number(this.#add.run(row.n, index ?? Infinity, taskId, text).changes);
      return row.ended >= row.size ? "complete" : "waiting";
    });
    for (const { row, ttl } of known.values()) {
      if (row !== undefined) this.#counted.run(row.ended, expiry(ttl, now), row.n);
    }
    return counts;
  }

  parts(groupId: string): string[] {
    return (this.#parts.all(groupId) as unknown as { body: string }[]).map(({ body }) => body);
  }

  end(chords: readonly { readonly groupId: string; readonly ttl: number }[], now: number): void {
    for (const { groupId, ttl } of chords) {
      const row = this.#find.get(groupId, now) as ChordRow | undefined;
      if (row === undefined) continue;
      this.#end.run(expiry(ttl, now), row.n);
      this.#dropParts.run(row.n);
    }
  }

  extend(chords: readonly ChordExtension[], now: number): void {
    for (const { groupId, taskIds, ttl } of chords) {
      const row = this.#find.get(groupId, now) as ChordRow | undefined;
      if (row === undefined || row.sent) continue;
      let added = 0;
      for (const id of taskIds) added += Number(this.#add.run(row.n, ADDED, id, null).changes);
      this.#extend.run(added, expiry(ttl, now), row.n);
    }
  }

  save(groupId: string, text: string, ttl: number, now: number): void {
    this.#sweepGroups.run(now);
    this.#save.run(groupId, expiry(ttl, now), text);
  }

  restore(groupId: string, now: number): string | null {
    return (this.#restore.get(groupId, now) as { body: string } | undefined)?.body ?? null;
  }

  delete(groupId: string): void {
    this.#delete.run(groupId);
  }

  #sweep(now: number, limit: number): void {
    for (const { n } of this.#expired.all(now, limit) as unknown as { n: number }[]) {
      this.#dropParts.run(n);
      this.#drop.run(n);
    }
  }
}

function expiry(ttl: number, now: number): number {
  return ttl === 0 ? NEVER : now + ttl * 1000;
}
