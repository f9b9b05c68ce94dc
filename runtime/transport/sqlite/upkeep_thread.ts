/**
 * The thread that does what takes SQLite long: in the main thread it would hold every timer up for tens of milliseconds
 * at a time. It does what {@linkcode Upkeep} asks for, and answers each request with the state of the `-wal` file, or
 * with nothing when it could not be done.
 */
import { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";

/** How much the `-wal` file holds and how much of it is in the database file too, in pages. */
export interface WalState {
  readonly log: number;
  readonly checkpointed: number;
}

/**
 * What the thread is asked for:
 * - `passive`: move what is committed from the `-wal` file to the database file; gets in nobody's way;
 * - `restart`: the same, holding all writers up, so that the `-wal` file begins anew;
 * - `vacuum`: write the database file anew without its unused pages;
 * - `close`: close the connection.
 */
export type UpkeepRequest = "passive" | "restart" | "vacuum" | "close";

const { path } = workerData as { path: string };
let connection: DatabaseSync | undefined;

function serve(request: UpkeepRequest): WalState | undefined {
  try {
    if (request === "close") {
      connection?.close();
      return undefined;
    }
    if (connection === undefined) {
      connection = new DatabaseSync(path);
      // This thread may wait: it holds nothing up.
      connection.exec("pragma busy_timeout = 500");
    }
    if (request === "vacuum") connection.exec("vacuum");
    const mode = request === "passive" ? "passive" : "restart";
    return connection.prepare(`pragma wal_checkpoint(${mode})`).get() as unknown as WalState;
  } catch {
    // A full disk, or a file that is gone: the main thread meets the same with its next commit and says it there.
    return undefined;
  }
}

parentPort!.on("message", (request: UpkeepRequest) => parentPort!.postMessage(serve(request)));
