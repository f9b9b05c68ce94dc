/** Keeps the `-wal` file short, from the main thread's side: sees when it is long and has a thread of its own work. */
import type { StatementSync } from "node:sqlite";
import { Worker } from "node:worker_threads";
import type { CheckpointRequest, WalState } from "./checkpoint_thread.ts";

/** Tells the state of the `-wal` file, for {@linkcode Checkpointer}; moves nothing. */
export const WAL_STATE = "pragma wal_checkpoint(noop)";

/** Commits between two looks at the file. */
const LOOK_EVERY = 8;
/** Pages, 16 MB: with so many to move, the thread is asked. */
const LONG = 4_000;
/**
 * Pages, 64 MB: longer than this, and the file must begin anew. While anybody writes, moving alone never comes to the
 * end of it; so this process holds its writes back until the thread has moved the little that is left.
 */
const TOO_LONG = 16_000;
/** Pages, 96 MB: longer than this, and writes are held back until the thread has caught up, however much is left. */
const FAR_TOO_LONG = 24_000;

/** Asks for checkpoints of one database file. The thread starts when first needed and keeps no process alive that has
 * nothing else to do. */
export class Checkpointer {
  readonly #path: string;
  readonly #state: StatementSync;
  #thread: Worker | undefined;
  #answered: ((state: WalState | undefined) => void) | undefined;
  #working: Promise<void> | undefined;
  #commits = 0;
  /** Resolves when this process may write again; undefined when it may. */
  hold: Promise<void> | undefined;

  /** `state` is {@linkcode WAL_STATE}, prepared on the main thread's connection. */
  constructor(path: string, state: StatementSync) {
    this.#path = path;
    this.#state = state;
  }

  /** To be called after each commit; most calls do nothing. */
  committed(): void {
    if (++this.#commits % LOOK_EVERY !== 0) return;
    const { log, checkpointed } = this.#state.get() as unknown as WalState;
    if (log - checkpointed < LONG) return;
    this.#working ??= this.#shorten().finally(() => this.#working = this.hold = undefined);
    if (log >= FAR_TOO_LONG) this.hold = this.#working;
  }

  async #shorten(): Promise<void> {
    const state = await this.#ask("passive");
    if (state === undefined || state.log < TOO_LONG) return;
    this.hold = this.#working;
    await this.#ask("restart");
  }

  #ask(request: CheckpointRequest): Promise<WalState | undefined> {
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
    const thread = new Worker(new URL("./checkpoint_thread.ts", import.meta.url), {
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
