/** A folder for one test of the command line: the place where it is run, with a user's files in it. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, startWorker, type TestWorker } from "../servers/worker.ts";

/** No setting of whoever runs the tests reaches them; empty counts as unset. */
const env = {
  CELERIAC_BROKER_URL: "",
  CELERIAC_RESULT_BACKEND: "",
  CELERY_BROKER_URL: "",
  CELERY_RESULT_BACKEND: "",
};

export class Folder implements AsyncDisposable {
  readonly path: string;
  readonly #workers: TestWorker[] = [];

  private constructor(path: string) {
    this.path = path;
  }

  static async with(files: Record<string, string> = {}): Promise<Folder> {
    const folder = new Folder(await mkdtemp(join(tmpdir(), "celeriac-cli-")));
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder.path, name), text);
    return folder;
  }

  /** Runs `celeriac ...args` here to its end. */
  run(args: readonly string[], more: Record<string, string> = {}, input?: string): ReturnType<typeof run> {
    return run(args, { cwd: this.path, env: { ...env, ...more }, input });
  }

  /** Starts `celeriac worker ...args` here; it ends with the folder. */
  async worker(...args: string[]): Promise<TestWorker> {
    const worker = await startWorker(args, { cwd: this.path, env });
    this.#workers.push(worker);
    return worker;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.kill()));
    await rm(this.path, { recursive: true, force: true });
  }
}
