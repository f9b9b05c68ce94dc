/** A real Celery: its workers, its command line, and a Python that calls tasks. All private, ended by their process. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { python } from "./python.ts";
import { follow, type TestWorker } from "./worker.ts";

const FOLDER = fileURLToPath(new URL("../celery/", import.meta.url));

/** Where a Celery works, and with which settings. */
export interface CeleryOptions {
  /** Broker and result store. */
  readonly url: string;
  /** The result store, if it is another. */
  readonly backend?: string;
  /** Celery's own settings, as `app.conf` has them. */
  readonly conf?: Readonly<Record<string, unknown>>;
}

/** What a Python worker is started with. */
export interface CeleryWorkerOptions extends CeleryOptions {
  /** Default `["celery"]`. */
  readonly queues?: readonly string[];
  /** Default `celery@HOST`. */
  readonly hostname?: string;
  /** More arguments of `celery worker`. */
  readonly args?: readonly string[];
}

/**
 * Starts a Python worker that runs `tests/celery/app.py` (one task at a time, in its main process, unless `args` say
 * otherwise) and waits until it is ready. It does not look for other workers when it starts, unless it has `mingle`.
 */
export async function startCeleryWorker(
  options: CeleryWorkerOptions & { readonly mingle?: boolean },
): Promise<TestWorker> {
  const { queues = ["celery"], hostname, mingle = false, args = [] } = options;
  const worker = follow(
    await spawnPython(options, [
      ...["-m", "celery", "-A", "app", "worker", "-P", "solo", "-l", "WARNING", "-Q", queues.join(",")],
      ...(hostname === undefined ? [] : ["-n", hostname]),
      ...(mingle ? [] : ["--without-mingle", "--without-gossip"]),
      ...args,
    ]),
  );
  const ended = worker.exited.then((code) => {
    throw new Error(`the Python worker ended with ${code} before it was ready:\n${worker.lines.join("\n")}`);
  });
  await Promise.race([worker.line(/^ready$/), ended]);
  ended.catch(() => {});
  return worker;
}

/** Runs a command of Celery's command line to its end. */
export async function celery(
  options: CeleryOptions,
  ...args: readonly string[]
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = await spawnPython(options, ["-m", "celery", "-A", "app", ...args]);
  let stdout = "", stderr = "";
  child.stdout!.setEncoding("utf8").on("data", (text) => stdout += text);
  child.stderr!.setEncoding("utf8").on("data", (text) => stderr += text);
  const [code] = await once(child, "close");
  return { code, stdout, stderr };
}

/** What Python raised. */
export class PythonError extends Error {
  /** The class's own name. */
  override readonly name: string;
  readonly module: string;
  /** `repr` of the error's `args`. */
  readonly args: string;
  readonly trace: string;

  constructor(raised: { type: string; module: string; message: string; args: string; trace: string }) {
    super(raised.message);
    this.name = raised.type;
    this.module = raised.module;
    this.args = raised.args;
    this.trace = raised.trace;
  }
}

/** A Python that runs what it is told, one thing after another. */
export interface PythonConsole {
  /**
   * Runs statements, with `values` (JSON) as variables, and resolves with the `repr` of the last expression.
   * @throws {PythonError} What they raise.
   */
  run(source: string, values?: Readonly<Record<string, unknown>>): Promise<string>;
  /** The same, for an expression whose value is JSON. */
  json<T>(source: string, values?: Readonly<Record<string, unknown>>): Promise<T>;
  stop(): Promise<void>;
}

/** Starts a Python that has `app.py` and `console.py` loaded. */
export async function startPython(options: CeleryOptions): Promise<PythonConsole> {
  const child = await spawnPython(options, ["console.py"], "pipe");
  let errors = "";
  child.stderr!.setEncoding("utf8").on("data", (text) => errors += text);
  const waiting: { resolve(value: string): void; reject(error: Error): void }[] = [];
  createInterface({ input: child.stdout! }).on("line", (line) => {
    const answer = JSON.parse(line);
    const { resolve, reject } = waiting.shift()!;
    if (answer.error) reject(new PythonError(answer.error));
    else resolve(answer.value);
  });
  const ended = once(child, "close");
  void ended.then(() => {
    for (const { reject } of waiting.splice(0)) reject(new Error(`the Python console has ended:\n${errors}`));
  });
  const ask = (form: "repr" | "json", source: string, values: Readonly<Record<string, unknown>> = {}) => {
    return new Promise<string>((resolve, reject) => {
      waiting.push({ resolve, reject });
      child.stdin!.write(`${JSON.stringify({ source, values, form })}\n`);
    });
  };
  return {
    run: (source, values) => ask("repr", source, values),
    json: async (source, values) => JSON.parse(await ask("json", source, values)),
    async stop() {
      child.stdin!.end();
      await ended;
    },
  };
}

async function spawnPython(
  { url, backend = url, conf = {} }: CeleryOptions,
  args: readonly string[],
  stdin: "pipe" | "ignore" = "ignore",
): Promise<ChildProcess> {
  return spawn(await python(), args, {
    cwd: FOLDER,
    env: {
      ...process.env,
      CELERY_TEST_URL: url,
      CELERY_TEST_BACKEND: backend,
      CELERY_TEST_CONF: JSON.stringify(conf),
      C_FORCE_ROOT: "1",
      PYTHONDONTWRITEBYTECODE: "1",
      PYTHONUNBUFFERED: "1",
    },
    stdio: [stdin, "pipe", "pipe"],
  });
}
