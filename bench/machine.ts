/** What the figures were made on, and with which versions. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { cpus, release, totalmem, type as system } from "node:os";
import { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";
import { python } from "../tests/servers/python.ts";
import { runtimes } from "./contestants/celeriac.ts";
import { ROOT } from "./process.ts";

const run = promisify(execFile);

/** Name to what is known of it. */
export type Facts = Readonly<Record<string, string>>;

/** The machine. */
export function machine(): Facts {
  const cores = cpus();
  return {
    CPU: `${cores[0]?.model.trim() || "unknown"}, ${cores.length} cores`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    kernel: `${system()} ${release()}`,
  };
}

/** The commit that is measured, with a `+` when files differ from it. */
export async function commit(): Promise<string> {
  const [hash, changes] = await Promise.all([
    say("git", "-C", ROOT, "rev-parse", "--short=10", "HEAD"),
    say("git", "-C", ROOT, "status", "--porcelain", "--untracked-files=no", "--", "runtime", "mod.ts"),
  ]);
  return `${hash || "unknown"}${changes === "" ? "" : "+"}`;
}

/** Everything that takes part. */
export async function versions(): Promise<Facts> {
  const packages =
    "import celery, kombu, redis, sys; print(celery.__version__, kombu.__version__, redis.__version__)";
  const [deno, bun, node, redis, pythons, packed, bullmq] = await Promise.all([
    say(runtimes.deno[0], "--version"),
    say(runtimes.bun[0], "--version"),
    say("node", "--version"),
    say("redis-server", "--version"),
    python().then((program) => say(program, "--version")),
    python().then((program) => say(program, "-c", packages)),
    readFile(`${ROOT}bench/bullmq/node_modules/bullmq/package.json`, "utf8").then((text) =>
      JSON.parse(text).version
    ),
  ]);
  const [celery, kombu, redisPy] = packed.split(" ");
  const db = new DatabaseSync(":memory:");
  const { version } = db.prepare("select sqlite_version() as version").get() as { version: string };
  db.close();
  return {
    Deno: /^deno (\S+)/.exec(deno)?.[1] ?? "",
    Bun: bun,
    Node: node.replace(/^v/, ""),
    Redis: /v=(\S+)/.exec(redis)?.[1] ?? "",
    "SQLite (in Deno)": version,
    "SQLite (in Bun)": await say(
      runtimes.bun[0],
      "-e",
      'import { Database } from "bun:sqlite"; console.log(new Database(":memory:").query("select sqlite_version() as v").get().v)',
    ),
    Python: pythons.replace("Python ", ""),
    Celery: celery,
    kombu,
    "redis-py": redisPy,
    BullMQ: bullmq,
  };
}

async function say(program: string, ...args: string[]): Promise<string> {
  try {
    return (await run(program, args)).stdout.trim();
  } catch {
    return "";
  }
}
