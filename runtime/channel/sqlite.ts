/** Channels in a database file: a message is a row. */
import type { Clock } from "../clock.ts";
import { uid } from "../protocol/uid.ts";
import type { DatabaseOptions } from "../transport/sqlite/database.ts";
import { locate } from "../transport/sqlite/location.ts";
import {
  type ChannelStore,
  type LineEnd,
  type LineLimits,
  type LineReader,
  type LineWriter,
  takenOver,
} from "./channel.ts";
import { Lent } from "./lent.ts";
import { Lines } from "./sqlite/lines.ts";
import { SqliteLink } from "./sqlite/link.ts";

export class SqliteChannels implements ChannelStore {
  readonly name: string;
  readonly #clock: Clock;
  readonly #link: Lent<SqliteLink>;

  /** @throws {BadUrlError} When the URL names no place where a database of ours can be. */
  constructor(url: string, options: DatabaseOptions) {
    const location = locate(url);
    this.name = url;
    this.#clock = options.clock;
    this.#link = new Lent(() => new SqliteLink(location, options));
  }

  writer(line: string, limits: LineLimits): LineWriter {
    return new SqliteWriter(this.#link, line, limits, this.#clock);
  }

  reader(line: string, ttl: number): LineReader {
    return new SqliteReader(this.#link, line, ttl, this.#clock, this.name);
  }

  keep(): () => void {
    return this.#link.keep();
  }

  rest(): Promise<void> {
    return this.#link.rest();
  }
}

class SqliteLine implements LineEnd {
  readonly pushes = true;
  readonly line: string;
  readonly clock: Clock;
  readonly #link: Lent<SqliteLink>;

  constructor(link: Lent<SqliteLink>, line: string, clock: Clock) {
    this.#link = link;
    this.line = line;
    this.clock = clock;
  }

  watch(wake: () => void): () => void {
    const unwatch = this.#link.borrow().watch(this.line, wake);
    return () => {
      unwatch();
      this.#link.giveBack();
    };
  }

  /** Runs `work` as one transaction that has the write lock. */
  write<T>(work: (lines: Lines) => T): Promise<T> {
    return this.#link.use(async (link) => {
      const db = await link.database();
      return await db.write(() => work(db.part(Lines)));
    });
  }

  /** Runs `work`, which only reads, on one state of the database. */
  read<T>(work: (lines: Lines) => T): Promise<T> {
    return this.#link.use(async (link) => {
      const db = await link.database();
      return await db.snapshot(() => work(db.part(Lines)));
    });
  }
}

class SqliteWriter extends SqliteLine implements LineWriter {
  readonly #limits: LineLimits;

  constructor(link: Lent<SqliteLink>, line: string, limits: LineLimits, clock: Clock) {
    super(link, line, clock);
    this.#limits = limits;
  }

  push(sender: string, first: number, texts: readonly string[]): Promise<number> {
    return this.write((lines) => lines.push(this.line, this.#limits, sender, first, texts, this.clock.now()));
  }
}

class SqliteReader extends SqliteLine implements LineReader {
  readonly #token = uid();
  readonly #ttl: number;
  readonly #name: string;
  #opened = false;
  /** The numbers of the messages that were taken last. */
  #taken: number[] = [];

  constructor(link: Lent<SqliteLink>, line: string, ttl: number, clock: Clock, name: string) {
    super(link, line, clock);
    this.#ttl = ttl;
    this.#name = name;
  }

  async take(most: number): Promise<string[]> {
    const last = this.#taken.at(-1);
    // Only what changes anything waits for the write lock.
    const found = this.#opened && last === undefined
      ? await this.read((lines) => this.#look(lines, most))
      : await this.write((lines) => this.#step(lines, last, most));
    this.#opened = true;
    this.#taken = found.map(({ n }) => n);
    return found.map(({ body }) => body);
  }

  async release(done: number): Promise<void> {
    if (!this.#opened) return;
    const last = this.#taken[done - 1];
    await this.write((lines) => {
      if (lines.readerOf(this.line) !== this.#token) return;
      if (last !== undefined) lines.done(this.line, last);
      lines.leave(this.line);
    });
    this.#opened = false;
    this.#taken = [];
  }

  #step(lines: Lines, last: number | undefined, most: number) {
    this.#check(lines);
    const now = this.clock.now();
    if (lines.readerOf(this.line) !== this.#token) lines.open(this.line, this.#token, this.#ttl, now);
    else if (last !== undefined) lines.done(this.line, last);
    return lines.front(this.line, most, now);
  }

  #look(lines: Lines, most: number) {
    this.#check(lines);
    return lines.front(this.line, most, this.clock.now());
  }

  /** That nobody has taken over; what has expired, or was left, is still its own. */
  #check(lines: Lines): void {
    const reader = lines.readerOf(this.line) ?? this.#token;
    if (this.#opened && reader !== this.#token) throw takenOver(this.line, this.#name);
  }
}
