/** The ledger of a database file: each step is a transaction, so that what is sent is written down with it or not at all. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { OwnerBeat } from "../transport/lease.ts";
import { Database, type DatabaseOptions } from "../transport/sqlite/database.ts";
import { locate } from "../transport/sqlite/location.ts";
import { encodeMessage, PublishStep } from "../transport/sqlite/publish_step.ts";
import type { Ledger, Sending, Sent, Wanted } from "./place.ts";

/** An entry's row. */
interface Kept {
  readonly owner: string;
  readonly last: number;
  readonly timetable: string;
}

export class SqliteLedger implements Ledger {
  readonly name: string;
  readonly #options: DatabaseOptions;
  #connected: Promise<Database> | undefined;

  constructor(url: string, options: DatabaseOptions) {
    this.name = url;
    this.#options = options;
    locate(url);
  }

  async connect(signal?: AbortSignal): Promise<void> {
    await this.#database(signal);
  }

  async renew(me: string): Promise<readonly OwnerBeat<string>[]> {
    const db = await this.#database();
    // Lost in a power cut it is a beat less, which nobody misses.
    return await db.writeAhead(() => db.part(Schedulers).renew(me));
  }

  async bury(owner: string, beat?: number): Promise<void> {
    const db = await this.#database();
    await db.write(() => db.part(Schedulers).bury(owner, beat));
  }

  async claim(
    me: string,
    alive: readonly string[],
    wanted: readonly Wanted[],
  ): Promise<ReadonlyMap<string, number>> {
    const db = await this.#database();
    // Mostly all is as it was, and nobody has to wait for the write lock.
    const asItWas = await db.read(() => db.part(Periodic).asItWas(me, alive, wanted));
    return asItWas ?? await db.write(() => db.part(Periodic).claim(me, alive, wanted));
  }

  async send(me: string, batch: readonly Sending[]): Promise<readonly Sent[]> {
    const encoded = batch.map(({ message }) => encodeMessage(message));
    const db = await this.#database();
    return await db.write(() => {
      const sent = batch.map((each): Sent => db.part(Periodic).advance(me, each) ? "sent" : "lost");
      db.part(PublishStep).publish(encoded.filter((_, i) => sent[i] === "sent"));
      return sent;
    });
  }

  async read(wanted: readonly Wanted[]): Promise<ReadonlyMap<string, number>> {
    const db = await this.#database();
    return await db.read(() => db.part(Periodic).read(wanted));
  }

  async close(): Promise<void> {
    const connected = this.#connected;
    this.#connected = undefined;
    await connected?.then((db) => db.release(), () => {});
  }

  #database(signal?: AbortSignal): Promise<Database> {
    if (this.#connected === undefined) {
      const connecting = this.#connected = Database.use(locate(this.name), this.#options, signal);
      connecting.catch(() => {
        if (this.#connected === connecting) this.#connected = undefined;
      });
    }
    return this.#connected;
  }
}

/** Who schedules, and how often each has said so. */
class Schedulers {
  readonly #renew: StatementSync;
  readonly #others: StatementSync;
  readonly #bury: StatementSync;

  constructor(db: DatabaseSync) {
    this.#renew = db.prepare(
      "insert into scheduler(name, beat) values(?, 1) on conflict do update set beat = beat + 1",
    );
    this.#others = db.prepare("select name as owner, beat from scheduler where name <> ?");
    this.#bury = db.prepare("delete from scheduler where name = ? and (beat = ? or ? is null)");
  }

  renew(me: string): OwnerBeat<string>[] {
    this.#renew.run(me);
    return this.#others.all(me) as unknown as OwnerBeat<string>[];
  }

  bury(owner: string, beat: number | null = null): void {
    this.#bury.run(owner, beat, beat);
  }
}

/** Entries, whose they are, and their last times. */
class Periodic {
  readonly #all: StatementSync;
  readonly #one: StatementSync;
  readonly #put: StatementSync;
  readonly #drop: StatementSync;
  readonly #advance: StatementSync;

  constructor(db: DatabaseSync) {
    this.#all = db.prepare("select name, owner from periodic");
    this.#one = db.prepare("select owner, last, timetable from periodic where name = ?");
    this.#put = db.prepare(
      "insert into periodic(name, owner, last, timetable) values(?, ?, ?, ?) " +
        "on conflict do update set owner = excluded.owner, last = excluded.last, timetable = excluded.timetable",
    );
    this.#drop = db.prepare("delete from periodic where name = ?");
    this.#advance = db.prepare("update periodic set last = ? where name = ? and owner = ? and last = ?");
  }

  /** What is held, if nothing can be taken and nothing is to be let go. */
  asItWas(me: string, alive: readonly string[], wanted: readonly Wanted[]): Map<string, number> | undefined {
    const held = new Map<string, number>();
    for (const { key, timetable } of wanted) {
      const kept = this.#find(key);
      if (kept === undefined || kept.owner !== me && !alive.includes(kept.owner)) return undefined;
      if (kept.owner !== me) continue;
      if (kept.timetable !== timetable) return undefined;
      held.set(key, kept.last);
    }
    const mine = this.#all.all() as unknown as { owner: string }[];
    return mine.filter(({ owner }) => owner === me).length === held.size ? held : undefined;
  }

  claim(me: string, alive: readonly string[], wanted: readonly Wanted[]): Map<string, number> {
    const held = new Map<string, number>();
    const before = new Set([me]);
    for (const { key, timetable, first } of wanted) {
      const kept = this.#find(key);
      if (kept !== undefined && kept.owner !== me && alive.includes(kept.owner)) continue;
      if (kept !== undefined) before.add(kept.owner);
      const last = kept?.timetable === timetable ? kept.last : first;
      this.#put.run(key, me, last, timetable);
      held.set(key, last);
    }
    // What those before it held and it does not want has been taken out of the schedule.
    for (const { name, owner } of this.#all.all() as unknown as { name: string; owner: string }[]) {
      if (before.has(owner) && !held.has(name)) this.#drop.run(name);
    }
    return held;
  }

  /** Writes down that an entry was sent; false when it is another's by now. */
  advance(me: string, { key, before, at }: Sending): boolean {
    return Number(this.#advance.run(at, key, me, before).changes) > 0;
  }

  read(wanted: readonly Wanted[]): Map<string, number> {
    const last = new Map<string, number>();
    for (const { key, timetable } of wanted) {
      const kept = this.#find(key);
      if (kept?.timetable === timetable) last.set(key, kept.last);
    }
    return last;
  }

  #find(key: string): Kept | undefined {
    return this.#one.get(key) as unknown as Kept | undefined;
  }
}
