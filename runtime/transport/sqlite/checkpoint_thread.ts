/**
 * The thread that moves what is committed from the `-wal` file into the database file: in the main thread it would
 * hold every timer up for tens of milliseconds at a time. It works when {@linkcode Checkpointer} asks it to.
 */
import { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";

/** Pages of the `-wal` file beyond which writers are held up for a moment so that it can begin anew. */
const TOO_LONG = 16_000;

interface Outcome {
  readonly log: number;
  readonly checkpointed: number;
}

const { path } = workerData as { path: string };
let db: DatabaseSync | undefined;

parentPort!.on("message", (request: "checkpoint" | "close") => {
  if (request === "close") {
    db?.close();
    parentPort!.postMessage("closed");
    parentPort!.close();
    return;
  }
  try {
    if (db === undefined) {
      db = new DatabaseSync(path);
      // This thread may wait: it holds nothing up.
      db.exec("pragma busy_timeout = 200");
    }
    const { log, checkpointed } = db.prepare("pragma wal_checkpoint(passive)").get() as unknown as Outcome;
    // While others go on writing, a passive one never comes to the end, and the file would grow without end. What is
    // left of it is little now, so the writers wait no more than milliseconds.
    if (log > TOO_LONG && checkpointed > 0) db.prepare("pragma wal_checkpoint(restart)").get();
  } catch {
    // A full disk, or a file that is gone: the main thread meets the same with its next commit and says it there.
  }
  parentPort!.postMessage("done");
});
