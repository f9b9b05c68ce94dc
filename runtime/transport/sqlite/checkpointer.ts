/** Keeps the `-wal` file short, from the main thread's side: sees when it is long and has a thread of its own work. */
import type { StatementSync } from "node:sqlite";
import { Worker } from "node:worker_threads";

/** Commits between two looks at the length. */
const LOOK_EVERY = 8;
/** Pages, 16 MB: longer than this, and the thread is asked. */
const LONG = 4_000;

/** Asks for checkpoints of one database file. The thread starts when first needed and keeps no process alive. */
export class Checkpointer {
  readonly #path: string;
  readonly #length: StatementSync;
  #thread: Worker | undefined;
  #working = false;
  #commits = 0;

  /** `length` is prepared with {@linkcode WAL_LENGTH} on the main thread's connection. */
  constructor(path: string, length: StatementSync) {
    this.#path = path;
    this.#length = length;
  }

  /** To be called after each commit; most calls do nothing. */
  committed(): void {
    if (++this.#commits % LOOK_EVERY !== 0 || this.#working) return;
    const { log, checkpointed } = this.#length.get() as { log: number; checkpointed: number };
    if (log - checkpointed < LONG) return;
    this.#working = true;
    this.#thread ??= this.#start();
    this.#thread.postMessage("checkpoint");
  }

  #start(): Worker {
    const thread = new Worker(new URL("./checkpoint_thread.ts", import.meta.url), {
      workerData: { path: this.#path },
    });
    thread.on("message", () => this.#working = false);
    thread.on("error", () => {
      // The next look starts another one.
      this.#thread = undefined;
      this.#working = false;
    });
    thread.unref();
    return thread;
  }

  /** Ends the thread when it has closed its connection, so that the last one to close can remove the `-wal` file. */
  async close(): Promise<void> {
    const thread = this.#thread;
    if (thread === undefined) return;
    this.#thread = undefined;
    const closed = new Promise<void>((resolve) => {
      thread.on("message", (message) => message === "closed" && resolve());
      thread.on("error", () => resolve());
      thread.on("exit", () => resolve());
    });
    thread.ref();
    thread.postMessage("close");
    await closed;
    await thread.terminate();
  }
}

/** Tells how many pages the `-wal` file has and how many of them are checkpointed; moves none. */
export const WAL_LENGTH = "pragma wal_checkpoint(noop)";
