/**
 * One process's connection to a database file: what publish, receive and settle are transactions of. SQLite's calls
 * are synchronous, so none of them ever waits for another process's lock: who finds it taken tries again after a
 * short random time in which timers and everything else go on.
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { type Clock, sleep, systemClock } from "../../clock.ts";
import { BrokerUnavailableError } from "../transport.ts";
import { BadUrlError } from "../url.ts";
import { Durability } from "./durability.ts";
import { explain, isLocked } from "./failure.ts";
import type { DatabaseLocation } from "./location.ts";
import { needsUpgrade, upgrade } from "./schema.ts";
import { Upkeep } from "./upkeep.ts";
import { WakeUp } from "./wake_up.ts";

/** Milliseconds that a lock of another process is waited for. */
const PATIENCE = 30_000;
/** Milliseconds: the longest pause between two tries for the lock. */
const LONGEST_PAUSE = 16;

/** What a connection is opened with beside its place. */
export interface DatabaseOptions {
  readonly clock: Clock;
  readonly random: () => number;
}

/** A connection and how many use it. */
interface Shared {
  readonly opening: Promise<Database>;
  users: number;
}

/** Connections of this process: those of one clock and place are one. */
const connections = new WeakMap<Clock, Map<string, Shared>>();

export class Database {
  readonly path: string;
  readonly wakeUp: WakeUp;
  readonly #db: DatabaseSync;
  readonly #random: () => number;
  readonly #upkeep: Upkeep;
  /** Undefined where nobody is to wait for the disk. */
  readonly #durability: Durability | undefined;
  readonly #parts = new Map<unknown, unknown>();
  readonly #begin: StatementSync;
  readonly #end: StatementSync;
  /** Ends one use; tells whether it was the last one. */
  readonly #leave: () => boolean;
  #closed = false;

  /**
   * The connection of this process to that place, opened when it is the first use of it. Each use ends with
   * {@linkcode release}.
   *
   * @throws {BadUrlError} For a file that cannot be a database of ours.
   * @throws {BrokerUnavailableError} When it cannot be reached now.
   */
  static async use(
    location: DatabaseLocation,
    options: DatabaseOptions,
    signal?: AbortSignal,
  ): Promise<Database> {
    signal?.throwIfAborted();
    let places = connections.get(options.clock);
    if (places === undefined) connections.set(options.clock, places = new Map());
    const key = `${location.synchronous} ${location.path}`;
    let shared = places.get(key);
    if (shared === undefined) {
      const leave = () => {
        if (--shared!.users > 0) return false;
        places.delete(key);
        return true;
      };
      places.set(key, shared = { opening: Database.#open(location, options, leave), users: 0 });
    }
    shared.users++;
    try {
      return await shared.opening;
    } catch (error) {
      // The next use tries anew.
      if (places.get(key) === shared) places.delete(key);
      throw error;
    }
  }

  static async #open(
    location: DatabaseLocation,
    options: DatabaseOptions,
    leave: () => boolean,
  ): Promise<Database> {
    const { path } = location;
    let db: DatabaseSync | undefined;
    try {
      const opened = db = new DatabaseSync(path);
      await unlocked(path, options.random, () => {
        opened.exec("pragma busy_timeout = 0");
        const isNew = needsUpgrade(opened, path);
        opened.exec(
          `pragma synchronous = normal;
          pragma cache_size = -65536;
          pragma mmap_size = 1073741824;
          pragma wal_autocheckpoint = 0;
          pragma journal_size_limit = 16777216;
          pragma temp_store = memory`,
        );
        const { journal_mode } = opened.prepare("pragma journal_mode = wal").get() as {
          journal_mode: string;
        };
        if (journal_mode !== "wal") {
          throw new BadUrlError(`${path} cannot have a write-ahead log there: name a file in a local folder`);
        }
        if (!isNew) return;
        opened.exec("begin immediate");
        try {
          upgrade(opened, path);
          opened.exec("commit");
        } catch (error) {
          if (opened.isTransaction) opened.exec("rollback");
          throw error;
        }
      });
      return new Database(location, opened, options, leave);
    } catch (error) {
      db?.close();
      throw explain(error, path);
    }
  }

  private constructor(
    { path, synchronous }: DatabaseLocation,
    db: DatabaseSync,
    options: DatabaseOptions,
    leave: () => boolean,
  ) {
    this.path = path;
    this.#durability = synchronous === "full" ? new Durability(path) : undefined;
    this.#db = db;
    this.#random = options.random;
    this.#leave = leave;
    this.#begin = db.prepare("begin immediate");
    this.#end = db.prepare("commit");
    const version = db.prepare("pragma data_version");
    this.wakeUp = new WakeUp(path, () => (version.get() as { data_version: number }).data_version);
    this.#upkeep = new Upkeep(path, db);
  }

  /** The prepared statements of one step, made once a connection. */
  part<T>(kind: new (db: DatabaseSync) => T): T {
    let part = this.#parts.get(kind) as T | undefined;
    if (part === undefined) this.#parts.set(kind, part = new kind(this.#db));
    return part;
  }

  /**
   * Runs `work` as one transaction that has the write lock from its start: all of it is done, or nothing. `committed`
   * runs right after the commit, before anything else can. Resolves when it is on disk, where the place asks for that.
   *
   * @throws {BrokerUnavailableError} When it is not known to be done: the disk is full, the lock is held for too long, ...
   */
  async write<T>(work: () => T, committed?: (value: T) => void): Promise<T> {
    const value = await this.#commit(work, committed);
    await this.#durability?.flushed();
    return value;
  }

  /**
   * The same, but resolves with the commit; it is on disk a moment later. For what may be taken back by a power cut,
   * with all that was committed since, and is then done again.
   */
  async writeAhead<T>(work: () => T, committed?: (value: T) => void): Promise<T> {
    if (this.#durability?.isInDoubt) await this.#durability.flushed();
    const value = await this.#commit(work, committed);
    // What fails here is met by the next one.
    this.#durability?.flushed().catch(() => {});
    return value;
  }

  async #commit<T>(work: () => T, committed?: (value: T) => void): Promise<T> {
    while (this.#upkeep.hold !== undefined) await this.#upkeep.hold;
    return await this.#unlocked(() => {
      let value: T;
      this.#begin.run();
      try {
        value = work();
        this.#end.run();
      } catch (error) {
        if (this.#db.isTransaction) this.#db.exec("rollback");
        throw error;
      }
      committed?.(value);
      this.wakeUp.committed();
      this.#upkeep.committed();
      return value;
    });
  }

  /** Runs `work`, which only reads; several statements may see what was committed between them. */
  read<T>(work: () => T): Promise<T> {
    return this.#unlocked(work);
  }

  /** Runs `work`, which only reads, on one state of the database. */
  snapshot<T>(work: () => T): Promise<T> {
    return this.#unlocked(() => {
      this.#db.exec("begin");
      try {
        return work();
      } finally {
        this.#db.exec("commit");
      }
    });
  }

  async #unlocked<T>(work: () => T): Promise<T> {
    try {
      return await unlocked(this.path, this.#random, () => {
        if (this.#closed) throw new BrokerUnavailableError(`${this.path} is closed`);
        return work();
      });
    } catch (error) {
      throw explain(error, this.path);
    }
  }

  /** Keeps the file in bounds; to be called now and then. */
  async upkeep(): Promise<void> {
    await this.read(() => this.#upkeep.look());
  }

  /** Ends one use; the last one closes the connection. */
  async release(): Promise<void> {
    if (this.#closed || !this.#leave()) return;
    this.#closed = true;
    this.wakeUp.close();
    await this.#upkeep.close();
    await this.#durability?.close();
    this.#db.close();
  }
}

/** Runs `work` as soon as no other process holds the lock it needs. Wall time: another process's, not a test's. */
async function unlocked<T>(path: string, random: () => number, work: () => T): Promise<T> {
  let end = 0;
  for (let pause = 1;; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    try {
      return work();
    } catch (error) {
      if (!isLocked(error)) throw error;
      const now = systemClock.monotonic();
      if (end === 0) end = now + PATIENCE;
      if (now > end) {
        throw new BrokerUnavailableError(
          `${path} has been locked by another process for ${
            PATIENCE / 1000
          } s: end that process, or wait for it`,
          { cause: error },
        );
      }
    }
    await sleep(systemClock, pause * (0.5 + random()));
  }
}
