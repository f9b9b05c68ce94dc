/** Keeps a database file and its `-wal` file in bounds, from the main thread's side: sees when, and has a thread work. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { Worker } from "node:worker_threads";
import { programFile } from "../../platform.ts";
import type { UpkeepRequest, WalState } from "./upkeep_thread.ts";

/** Commits between two looks at the file. */
const LOOK_EVERY = 8;
/** Pages, 16 MB: with so many to move, the thread is asked. */
const LONG = 4_000;
/**
 * Pages, 32 MB: longer than this, and the file is to begin anew. While this process writes, the thread never comes to
 * its end; so writes are held back until it has moved the little that is left. The next commit then begins the file
 * anew by itself, which costs nothing; a restart by the thread would cost this connection all of its page cache.
 */
const TOO_LONG = 8_000;
/** Pages, 96 MB: longer than this, and every process is held back until the file begins anew. */
const FAR_TOO_LONG = 24_000;

/** Pages, 16 MB: with so many unused, and no more in use, the file is written anew. */
const WASTE = 4_000;
/** Pages, 64 MB: with more than that in use, writing it anew would hold writers up for too long. */
const MOST_TO_VACUUM = 16_000;
/** Looks in a row that must find the waste: what was just emptied is likely to be filled again. */
const PATIENCE = 12;

/** Looks after one database file. Its thread starts when first needed, and keeps a process alive only while it works. */
export class Upkeep {
  readonly #path: string;
  readonly #state: StatementSync;
  readonly #checkpoint: StatementSync;
  readonly #size: StatementSync;
  #thread: Worker | undefined;
  #answered: ((state: WalState | undefined) => void) | undefined;
  #working: Promise<void> | undefined;
  #commits = 0;
  #wasteful = 0;
  /** Resolves when this process may write again; undefined when it may. */
  hold: Promise<void> | undefined;

  /** `db` is the main thread's connection. */
  constructor(path: string, db: DatabaseSync) {
    this.#path = path;
    this.#state = db.prepare("pragma wal_checkpoint(noop)");
    this.#checkpoint = db.prepare("pragma wal_checkpoint(passive)");
    this.#size = db.prepare(
      `select (select freelist_count from pragma_freelist_count) as unused,
              (select page_count from pragma_page_count) as pages`,
    );
  }

  /** To be called after each commit; most calls do nothing. */
  committed(): void {
    if (++this.#commits % LOOK_EVERY !== 0) return;
    const { log, checkpointed } = this.#state.get() as unknown as WalState;
    if (log - checkpointed < LONG) return;
    if (this.#working === undefined) this.#work(this.#shorten());
    if (log >= FAR_TOO_LONG) this.hold = this.#working;
  }

  async #shorten(): Promise<void> {
    let state = await this.#ask("passive");
    // Without a thread it is done here: that holds timers up, but a file that grows without end is worse.
    if (state === undefined) return void this.#checkpoint.get();
    if (state.log < TOO_LONG) return;
    this.hold = this.#working;
    state = await this.#ask("passive");
    const isLeft = state !== undefined && state.checkpointed < state.log;
    if (isLeft && state!.log >= FAR_TOO_LONG) await this.#ask("restart");
  }

  /** Gives unused room back to the disk when there has been much of it for a while; to be called now and then. */
  look(): void {
    const { unused, pages } = this.#size.get() as { unused: number; pages: number };
    const used = pages - unused;
    const isWasteful = unused >= WASTE && unused > used && used <= MOST_TO_VACUUM;
    this.#wasteful = isWasteful ? this.#wasteful + 1 : 0;
    if (this.#wasteful < PATIENCE || this.#working !== undefined) return;
    this.#wasteful = 0;
    this.#work(this.#ask("vacuum"));
  }

  #work(work: Promise<unknown>): void {
    const done = () => void (this.#working = this.hold = undefined);
    // What fails here fails again with the next commit, which says it.
    this.#working = work.then(done, done);
  }

  #ask(request: UpkeepRequest): Promise<WalState | undefined> {
    const thread = this.#thread ??= this.#start();
    // While it works somebody may wait for it, so the process stays.
    thread.ref();
    return new Promise((resolve) => {
      this.#answered = (state) => {
        this.#thread?.unref();
        resolve(state);
      };
      thread.postMessage(request);
    });
  }

  #start(): Worker {
    const thread = new Worker(programFile("transport/sqlite/upkeep_thread"), {
      workerData: { path: this.#path },
    });
    thread.on("message", (state: WalState | undefined) => this.#answered?.(state));
    const ended = () => {
      // The next request starts another one.
      if (this.#thread === thread) this.#thread = undefined;
      this.#answered?.(undefined);
    };
    thread.on("error", ended);
    thread.on("exit", ended);
    return thread;
  }

  /** Ends the thread when it has closed its connection, so that the last one to close can remove the `-wal` file. */
  async close(): Promise<void> {
    await this.#working;
    const thread = this.#thread;
    if (thread === undefined) return;
    await this.#ask("close");
    this.#thread = undefined;
    await thread.terminate();
  }
}
