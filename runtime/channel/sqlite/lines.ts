/**
 * Lines of messages as rows. Each line has a number of its last change, from a counter that only grows, so that whoever
 * waits asks for the lines that have changed since. Messages are numbered as well; a reader says how far it has come.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { LineLimits } from "../channel.ts";

/** When a line expires that is kept for ever: milliseconds since 1970. */
const NEVER = Number.MAX_SAFE_INTEGER;
/** Lines that have expired and are dropped in one step at most. */
const SWEEP = 20;
/** Senders of one line that are remembered. */
const SENDERS = 100;

interface LineRow {
  readonly id: number;
  readonly reader: string | null;
  readonly size: number;
  readonly expires: number;
}

/** A message that waits. */
export interface WaitingText {
  readonly n: number;
  readonly body: string;
}

export class Lines {
  readonly #find: StatementSync;
  readonly #create: StatementSync;
  readonly #expireEmpty: StatementSync;
  readonly #update: StatementSync;
  readonly #setReader: StatementSync;
  readonly #drop: StatementSync;
  readonly #expired: StatementSync;
  readonly #count: StatementSync;
  readonly #newest: StatementSync;
  readonly #changed: StatementSync;
  readonly #add: StatementSync;
  readonly #front: StatementSync;
  readonly #done: StatementSync;
  readonly #dropOldest: StatementSync;
  readonly #dropAll: StatementSync;
  readonly #sent: StatementSync;
  readonly #senders: StatementSync;
  readonly #remember: StatementSync;
  readonly #forgetSenders: StatementSync;

  constructor(db: DatabaseSync) {
    this.#find = db.prepare("select id, reader, size, expires from line where name = ?");
    this.#create = db.prepare(
      "insert into line(name, expires) values(?, ?) returning id, reader, size, expires",
    );
    this.#expireEmpty = db.prepare("update line set expires = ? where id = ? and size = 0");
    this.#update = db.prepare("update line set size = ?, expires = ?, changed = ? where id = ?");
    this.#setReader = db.prepare("update line set reader = ?, changed = ? where id = ?");
    this.#drop = db.prepare("delete from line where id = ?");
    this.#expired = db.prepare("select id from line where expires <= ? limit ?");
    this.#count = db.prepare("update counter set value = value + 1 where name = 'line' returning value");
    this.#newest = db.prepare("select value from counter where name = 'line'");
    this.#changed = db.prepare("select name from line where changed > ?");
    this.#add = db.prepare("insert into line_text(line, body) values(?, ?)");
    this.#front = db.prepare("select n, body from line_text where line = ? order by n limit ?");
    this.#done = db.prepare("delete from line_text where line = ? and n <= ?");
    this.#dropOldest = db.prepare(
      "delete from line_text where n in (select n from line_text where line = ? order by n limit ?)",
    );
    this.#dropAll = db.prepare("delete from line_text where line = ?");
    this.#sent = db.prepare("select last from line_sender where line = ? and sender = ?");
    this.#senders = db.prepare("select count(*) as count from line_sender where line = ?");
    this.#remember = db.prepare(
      "insert into line_sender(line, sender, last) values(?, ?, ?) on conflict do update set last = excluded.last",
    );
    this.#forgetSenders = db.prepare("delete from line_sender where line = ?");
  }

  /** Adds as many texts as there is room for; tells how many are in the line, now or since before. In a write transaction. */
  push(
    name: string,
    { maxMessages, whenFull, ttl }: LineLimits,
    sender: string,
    first: number,
    texts: readonly string[],
    now: number,
  ): number {
    this.#sweep(now);
    const { id, size } = this.#line(name);
    const last = (this.#sent.get(id, sender) as { last: number } | undefined)?.last ?? first - 1;
    const known = Math.max(0, last - first + 1);
    const left = texts.length - known;
    const count = whenFull === "wait" ? Math.min(left, maxMessages - size) : left;
    if (count <= 0) return known;
    for (let i = known; i < known + count; i++) this.#add.run(id, texts[i]);
    const dropped = Math.max(0, size + count - maxMessages);
    if (dropped > 0) this.#dropOldest.run(id, dropped);
    if ((this.#senders.get(id) as { count: number }).count >= SENDERS) this.#forgetSenders.run(id);
    this.#remember.run(id, sender, first + known + count - 1);
    this.#update.run(size + count - dropped, expiry(ttl, now), this.#next(), id);
    return known + count;
  }

  /** Makes `reader` the one who reads a line; one in which nothing is sent is kept for `ttl` seconds. In a write transaction. */
  open(name: string, reader: string, ttl: number, now: number): void {
    this.#sweep(now);
    const { id } = this.#line(name);
    this.#setReader.run(reader, this.#next(), id);
    this.#expireEmpty.run(expiry(ttl, now), id);
  }

  /** Who reads a line; undefined when there is no such line. Only reads. */
  readerOf(name: string): string | null | undefined {
    return this.#row(name)?.reader;
  }

  /** Drops all messages up to number `n`. In a write transaction. */
  done(name: string, n: number): void {
    const line = this.#row(name);
    if (line === undefined) return;
    const { changes } = this.#done.run(line.id, n);
    // Those that were dropped as the oldest meanwhile do not count twice.
    this.#update.run(line.size - Number(changes), line.expires, this.#next(), line.id);
  }

  /** The oldest messages, at most `most`. Only reads. */
  front(name: string, most: number, now: number): WaitingText[] {
    const line = this.#row(name);
    if (line === undefined || line.expires <= now) return [];
    return this.#front.all(line.id, most) as unknown as WaitingText[];
  }

  /** Ends the reading of a line; without messages nothing is left of it. In a write transaction. */
  leave(name: string): void {
    const line = this.#row(name);
    if (line === undefined) return;
    if (line.size > 0) this.#setReader.run(null, this.#next(), line.id);
    else this.#delete(line.id);
  }

  /** The number of the newest change there ever was. */
  newest(): number {
    return (this.#newest.get() as { value: number }).value;
  }

  /** The lines that have changed since that change. */
  changedSince(n: number): string[] {
    return (this.#changed.all(n) as { name: string }[]).map(({ name }) => name);
  }

  #row(name: string): LineRow | undefined {
    return this.#find.get(name) as unknown as LineRow | undefined;
  }

  #line(name: string): LineRow {
    return this.#row(name) ?? this.#create.get(name, NEVER) as unknown as LineRow;
  }

  #next(): number {
    return (this.#count.get() as { value: number }).value;
  }

  #sweep(now: number): void {
    for (const { id } of this.#expired.all(now, SWEEP) as { id: number }[]) this.#delete(id);
  }

  #delete(id: number): void {
    this.#dropAll.run(id);
    this.#forgetSenders.run(id);
    this.#drop.run(id);
  }
}

function expiry(ttl: number, now: number): number {
  return ttl === 0 ? NEVER : now + ttl * 1000;
}
