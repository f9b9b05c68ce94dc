/**
 * The thread that moves what is committed from the `-wal` file into the database file: in the main thread it would
 * hold every timer up for tens of milliseconds at a time. It does what {@linkcode Checkpointer} asks for, and answers
 * each request with the state of the file, or with nothing when that could not be done.
 */
import { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";

/** How much the `-wal` file holds and how much of it is in the database file too, in pages. */
export interface WalState {
  readonly log: number;
  readonly checkpointed: number;
}

/** `passive` gets in nobody's way; `restart` holds writers up and lets the file begin anew. */
export type CheckpointRequest = "passive" | "restart" | "close";

const { path } = workerData as { path: string };
let db: DatabaseSync | undefined;

function checkpoint(mode: "passive" | "restart"): WalState | undefined {
  try {
    if (db === undefined) {
      db = new DatabaseSync(path);
      // This thread may wait: it holds nothing up.
      db.exec("pragma busy_timeout = 500");
    }
    return db.prepare(`pragma wal_checkpoint(${mode})`).get() as unknown as WalState;
  } catch {
    // A full disk, or a file that is gone: the main thread meets the same with its next commit and says it there.
    return undefined;
  }
}

parentPort!.on("message", (request: CheckpointRequest) => {
  if (request !== "close") return parentPort!.postMessage(checkpoint(request));
  db?.close();
  parentPort!.postMessage(undefined);
});
