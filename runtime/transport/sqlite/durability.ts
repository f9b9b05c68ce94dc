/**
 * Puts commits on disk while everything else goes on: on a task's way, between the commit of a publication and its
 * caller's hearing of it. With `synchronous=FULL` SQLite itself would wait for the disk inside of each commit, and with
 * it all timers and isolates of the process; here a thread of the runtime waits, once for all commits made meanwhile.
 *
 * That is as safe: SQLite's NORMAL, which we commit with, leaves out nothing but the wait for the frames of a commit in
 * the `-wal` file. It still waits for that file's header and folder entry when it begins anew, and for all of it before
 * a checkpoint, by whichever process, moves it to the database file; so what we find overwritten is on disk already.
 * The file stays the same one as long as a connection is open. Only its own descriptors carry SQLite's locks, and none
 * are on this file, so a further descriptor may be closed at any time.
 */
import { type FileHandle, open } from "node:fs/promises";
import { BrokerUnavailableError } from "../transport.ts";

/** Waits until what was written to the file is on disk; takes no lock. */
type Flush = (file: FileHandle) => Promise<void>;

export class Durability {
  readonly #path: string;
  readonly #flush: Flush;
  #file: Promise<FileHandle> | undefined;
  /** The one under way. */
  #current: Promise<void> | undefined;
  /** Begins when that is over: for commits that it may have missed. */
  #next: Promise<void> | undefined;
  /** Whether the last one failed: then commits may not be on disk that nobody waits for. */
  isInDoubt = false;

  /** `path` is the database file, to which this process has a connection until {@linkcode Durability.close}. */
  constructor(path: string, flush: Flush = (file) => file.datasync()) {
    this.#path = path;
    this.#flush = flush;
  }

  /**
   * Resolves when all that is committed by now is on disk.
   * @throws {BrokerUnavailableError} When that is not known.
   */
  flushed(): Promise<void> {
    if (this.#next !== undefined) return this.#next;
    if (this.#current === undefined) return this.#begin();
    const begin = () => {
      this.#next = undefined;
      return this.#begin();
    };
    return this.#next = this.#current.then(begin, begin);
  }

  #begin(): Promise<void> {
    const current = this.#current = this.#once().finally(() => {
      if (this.#current === current) this.#current = undefined;
    });
    return current;
  }

  async #once(): Promise<void> {
    try {
      this.#file ??= open(`${this.#path}-wal`, "r+");
      await this.#flush(await this.#file);
      this.isInDoubt = false;
    } catch (cause) {
      this.isInDoubt = true;
      this.#file?.then((file) => file.close()).catch(() => {});
      this.#file = undefined;
      throw new BrokerUnavailableError(
        `${this.#path}-wal: the disk does not confirm what was written: ${(cause as Error).message}`,
        { cause },
      );
    }
  }

  async close(): Promise<void> {
    await (this.#next ?? this.#current)?.catch(() => {});
    await (await this.#file?.catch(() => {}))?.close();
    this.#file = undefined;
  }
}
