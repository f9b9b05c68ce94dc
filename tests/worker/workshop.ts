/**
 * What a test of workers works in: a folder, a broker, an app, and workers in processes of their own on the runtime
 * under test. All of it ends with the test.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { App } from "../../mod.ts";
import type { GivenSettings } from "../../runtime/config/settings.ts";
import { startWorker, type TestWorker } from "../servers/worker.ts";

/** The module `jobs.ts`, for `-A`. */
export const JOBS = fileURLToPath(new URL("./jobs.ts", import.meta.url));

/** One line of a worker's log, as JSON. */
export interface LogLine {
  readonly time: string;
  readonly level: string;
  readonly logger: string;
  readonly message: string;
  readonly [property: string]: unknown;
}

/** How a test's marks (`jobs.mark`) look. */
export interface Mark {
  readonly id: string;
  /** The task was told that it may have run before. */
  readonly again: boolean;
  /** Of the worker that ran it. */
  readonly pid: number;
}

export class Workshop implements AsyncDisposable {
  readonly folder: string;
  readonly broker: string;
  readonly app: App;
  readonly jobs: ReturnType<typeof jobsOf>;
  readonly #workers: TestWorker[] = [];
  #gates = 0;

  private constructor(folder: string, broker: string, settings: GivenSettings) {
    this.folder = folder;
    this.broker = broker;
    this.app = new App({ ...settings, broker });
    this.jobs = jobsOf(this.app);
  }

  /** Without `broker` it is an SQLite file in the folder. The settings are the app's and, by a file, the workers'. */
  static async open(
    { broker, settings = {} }: { broker?: string; settings?: GivenSettings } = {},
  ): Promise<Workshop> {
    const folder = await mkdtemp(join(tmpdir(), "celeriac-workshop-"));
    await writeFile(join(folder, "celeriac.json"), JSON.stringify(settings));
    return new Workshop(folder, broker ?? `sqlite:${folder}/broker.db`, settings);
  }

  /** Starts a worker that has `jobs.ts`, and whatever else `args` names. */
  async worker(...args: string[]): Promise<TestWorker> {
    const worker = await startWorker(["-A", JOBS, "-b", this.broker, ...args], { cwd: this.folder });
    this.#workers.push(worker);
    return worker;
  }

  /** A gate that {@linkcode Gate.open} opens for tasks which wait at it. */
  gate(): Gate {
    const path = join(this.folder, `gate-${++this.#gates}`);
    return { path, open: () => writeFile(path, "") };
  }

  /** A file for marks. */
  file(name: string): string {
    return join(this.folder, name);
  }

  /** Lets a worker find out how fast `jobs.echo` is, so that it takes many ahead of time. */
  async warmUp(): Promise<void> {
    for (let round = 0; round < 3; round++) {
      await Promise.all(Array.from({ length: 100 }, (_, i) => this.jobs.echo(i)));
    }
  }

  /** What stands in the queue. */
  async length(queue = "celery"): Promise<{ ready: number; delayed: number; unacked: number; dead: number }> {
    const [{ ready, delayed, unacked, dead }] = await (await this.app.transport()).lengths([queue]);
    return { ready, delayed, unacked, dead };
  }

  /** Kills what still runs and removes the folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.app.disconnect();
    await Promise.all(this.#workers.map((worker) => worker.kill()));
    await rm(this.folder, { recursive: true, force: true });
  }
}

export interface Gate {
  readonly path: string;
  open(): Promise<void>;
}

function jobsOf(app: App) {
  return app.module<typeof import("./jobs.ts")>("jobs");
}

/** The lines that a worker has logged as JSON so far. */
export function logOf(worker: TestWorker): LogLine[] {
  return worker.lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
}

/** The marks in a file, oldest first. */
export async function marksIn(file: string): Promise<Mark[]> {
  const text = await readFile(file, "utf8").catch(() => "");
  // The last line may be half written.
  return text.split("\n").slice(0, -1).map((line) => {
    const [id, turn, pid] = line.split(" ");
    return { id, again: turn === "again", pid: Number(pid) };
  });
}
