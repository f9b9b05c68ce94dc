/** Databases of celeriac for the bench: filled once, copied for each contestant, and watched from outside. */
import { copyFile, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { App } from "../mod.ts";
import { StoredResults } from "../runtime/results/sqlite/stored_results.ts";
import { publish, QUEUE } from "./redis_server.ts";

/** How safe a commit is, see docs/speed.md. */
export type Synchronous = "full" | "normal";

/** A queue that no worker serves. */
const STAGE = "staged";

/** Makes a file in which `count` calls of `add(1, 2)` wait, and `held` more that are still to be released. */
export async function prepareFile(folder: string, name: string, count: number, held = 0): Promise<string> {
  const path = join(folder, `${name}.db`);
  const url = `sqlite:${path}?synchronous=normal`;
  await publish(url, count, "tasks.add", [1, 2]);
  await publish(url, held, "tasks.add", [1, 2], STAGE);
  return path;
}

/** One contestant's own copy of a prepared file. */
export class BenchFile {
  readonly #path: string;
  readonly #db: DatabaseSync;
  readonly #results: StoredResults;

  /** Copied and on disk, so that nobody's commits have to wait for the copying. */
  static async copy(prepared: string, folder: string): Promise<BenchFile> {
    const path = join(folder, "turn.db");
    await copyFile(prepared, path);
    const file = await open(path, "r+");
    await file.sync();
    await file.close();
    return new BenchFile(path);
  }

  private constructor(path: string) {
    this.#path = path;
    this.#db = new DatabaseSync(path);
    this.#db.exec("pragma busy_timeout = 5000");
    this.#results = new StoredResults(this.#db);
  }

  /** The broker's URL. */
  url(synchronous: Synchronous): string {
    return `sqlite:${this.#path}?synchronous=${synchronous}`;
  }

  /** Results stored so far. */
  settled(): Promise<number> {
    return Promise.resolve(this.#results.newest());
  }

  /** Lets `count` messages, or all, that were held go to the workers' queue, in one commit. */
  release(count = Number.MAX_SAFE_INTEGER): void {
    this.#db.exec(
      `update ready set queue = '${QUEUE}' where queue = '${STAGE}' and id in
         (select id from ready where queue = '${STAGE}' order by id limit ${count})`,
    );
  }

  /** Resolves when all of these workers answer. */
  async answered(hostnames: readonly string[], signal: AbortSignal): Promise<void> {
    const app = new App({ broker: this.url("normal") });
    for (let answers = 0; answers < hostnames.length;) {
      signal.throwIfAborted();
      answers = Object.keys(await app.inspect.ping({ destination: hostnames, timeout: 1 })).length;
    }
    await app.disconnect();
  }

  async delete(): Promise<void> {
    this.#db.close();
    for (const end of ["", "-wal", "-shm"]) await rm(this.#path + end, { force: true });
  }
}
