/** The files of `examples/deploy/Dockerfile`, and no others, run as the image would: as a user, in a root of their own. */
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { celeriac } from "../build/machine.ts";
import { type RedisServer, startRedis } from "../servers/redis.ts";
import { follow, type TestWorker } from "../servers/worker.ts";
import { type Image, layOut } from "./image.ts";

const DOCKERFILE = fileURLToPath(new URL("../../examples/deploy/Dockerfile", import.meta.url));

const tasks = `import { readdirSync } from "node:fs";
import { task } from "celeriac";

export const root = (): string[] => readdirSync("/").sort();
export const user = (): unknown => [process.getuid?.(), process.pid];
export const slow = task({ bind: true }, async (ctx): Promise<string> => {
  ctx.log.info("under way");
  await new Promise((resolve) => setTimeout(resolve, 500));
  return "done";
});
`;

describe("the image of examples/deploy", () => {
  let folder: string;
  let root: string;
  let image: Image;
  let redis: RedisServer;
  const workers: TestWorker[] = [];
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "celeriac-image-"));
    root = join(folder, "root");
    await writeFile(join(folder, "tasks.ts"), tasks);
    const made = celeriac(["compile", "-A", "tasks.ts", "-o", "my-worker", "--workdir", folder]);
    const [{ code, stderr }, server] = await Promise.all([made, startRedis()]);
    redis = server;
    assert.equal(code, 0, stderr);
    // What a container engine brings along.
    await mkdir(join(root, "proc"), { recursive: true });
    image = await layOut(DOCKERFILE, folder, root);
    await chmod(folder, 0o755);
    await chmod(join(root, image.workdir), 0o777);
  });
  after(async () => {
    await Promise.all(workers.map((worker) => worker.kill()));
    await redis.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** A command line that runs `command` as the image's user with nothing but its files, as the first process. */
  function contained(command: readonly string[]): [string, string[]] {
    const [user, group] = image.user.split(":");
    const identity = process.getuid!() === 0
      ? ["--setuid", user, "--setgid", group]
      : [`--map-user=${user}`, `--map-group=${group}`];
    return ["unshare", [
      ...["--mount", "--pid", "--fork", "--kill-child", "--mount-proc=/proc"],
      ...[`--root=${root}`, `--wd=${image.workdir}`, ...identity, ...command],
    ]];
  }

  async function run(command: readonly string[], env: Record<string, string> = {}) {
    const [program, args] = contained(command);
    return await promisify(execFile)(program, args, { env: { PATH: process.env.PATH!, ...env } })
      .then(
        (ended) => ({ code: 0, ...ended }),
        (error) => error as { code: number; stdout: string; stderr: string },
      );
  }

  async function startWorker(
    env: Record<string, string>,
  ): Promise<{ worker: TestWorker; child: ChildProcess }> {
    const [program, args] = contained([...image.entrypoint, ...image.command, "-c", "1"]);
    const child = spawn(program, args, {
      env: { PATH: process.env.PATH!, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const worker = follow(child);
    workers.push(worker);
    const ended = worker.exited.then((code) => `it ended with ${code}`);
    const said = await Promise.race([worker.line(/ready\b/), ended]);
    assert.doesNotMatch(said, /^it ended/, worker.lines.join("\n"));
    return { worker, child };
  }

  /** `unshare` passes no signals on: the first process of the container is its child. */
  async function signal(child: ChildProcess): Promise<void> {
    const first = await readFile(`/proc/${child.pid}/task/${child.pid}/children`, "utf8");
    process.kill(Number(first), image.stopSignal as "SIGTERM");
  }

  it("has no shell and no root", async () => {
    const files = (await readdir(root, { recursive: true })).filter((file) => !file.startsWith("proc"));
    assert.ok(
      files.every((file) =>
        /^(?:lib|lib64|data|celeriac)$|\/(?:ld-linux|lib(?:c|dl|m|pthread)\.so)/.test(file)
      ),
      String(files),
    );
    assert.match(image.user, /^[1-9]\d+:[1-9]\d+$/);
  });

  it("works on Redis, as the first process; its health check tells; SIGTERM lets it finish", async () => {
    const env = { CELERIAC_BROKER_URL: redis.url };
    assert.equal((await run(image.health, env)).code, 1);
    const { worker, child } = await startWorker(env);
    const health = await run(image.health, env);
    assert.equal(health.code, 0, health.stderr);
    const call = (...args: string[]) => celeriac(["call", ...args, "-b", redis.url, "--timeout", "20"]);
    assert.deepEqual(JSON.parse((await call("tasks.root")).stdout), [
      "celeriac",
      "data",
      "lib",
      "lib64",
      "proc",
    ]);
    assert.deepEqual(JSON.parse((await call("tasks.user")).stdout), [65532, 1]);
    const slow = call("tasks.slow");
    await worker.line(/under way/);
    await signal(child);
    assert.equal(await worker.exited, 0);
    assert.equal((await slow).stdout, '"done"\n');
  });

  it("keeps an SQLite broker in its working folder", async () => {
    const { worker, child } = await startWorker({});
    const called = await run([...image.entrypoint, "call", "tasks.root", "--timeout", "20"]);
    assert.equal(called.code, 0, called.stderr);
    await signal(child);
    assert.equal(await worker.exited, 0);
    assert.ok((await readdir(join(root, image.workdir))).includes("celeriac.db"));
  });
});
