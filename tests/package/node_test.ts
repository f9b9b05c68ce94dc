/** The package under Node: clients run on it, and the command finds Deno or Bun by itself. */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdir, readFile, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import process from "node:process";
import { runtimeName } from "../../runtime/platform.ts";
import { type RedisServer, startRedis } from "../servers/redis.ts";
import { follow, type TestWorker } from "../servers/worker.ts";
import { node, Project } from "./installed.ts";
import { shop, testing } from "./project_files.ts";

const exec = promisify(execFile);
const root = fileURLToPath(new URL("../../", import.meta.url));
const bin = "node_modules/celeriac/bin/celeriac.js";
const majors = [20, 22] as const;
type Major = typeof majors[number];
type Environment = Readonly<Record<string, string>>;

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

describe("the package under Node", () => {
  let redis: RedisServer;
  let project: Project;
  let nodes: Record<Major, string>;
  /** The environment of somebody who has nothing on the PATH. */
  let bare: { PATH: string; NO_COLOR: string };

  before(async () => {
    [redis, project] = await Promise.all([startRedis(), Project.with({ "shop.ts": shop })]);
    nodes = { 20: await node(20, project.path), 22: await node(22, project.path) };
    bare = { PATH: join(project.path, "programs"), NO_COLOR: "1" };
    await mkdir(bare.PATH);
  });
  after(async () => {
    await project[Symbol.asyncDispose]();
    await redis.stop();
  });

  /** Runs a program on that Node to its end, whatever its exit code. */
  const run = (major: Major, args: readonly string[], env: Environment = {}): Promise<Ended> =>
    exec(nodes[major], args, { cwd: project.path, env: { ...bare, ...env } }).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      ({ code, stdout, stderr }) => ({ code, stdout, stderr }),
    );
  const celeriac = (major: Major, ...args: string[]) => run(major, [bin, ...args]);

  /** What `celeriac` runs on when Node starts it. */
  async function runtime(major: Major, env: Environment = {}): Promise<string> {
    const { stdout, stderr } = await run(major, [bin, "report", "--json"], env);
    assert.equal(stderr, "");
    const { software } = JSON.parse(stdout);
    return ["deno", "bun", "node"].filter((name) => name in software).join();
  }

  async function worker(major: Major, ...args: string[]): Promise<TestWorker> {
    const line = [bin, "worker", "-A", "shop.ts", "-b", redis.url, "-c", "1", ...args];
    const env = { ...bare, CELERIAC_RUNTIME: runtimeName };
    const started = follow(spawn(nodes[major], line, { cwd: project.path, env }));
    const ended = started.exited.then(() => assert.fail(started.lines.join("\n")));
    await Promise.race([started.line(/ready\b/), ended]);
    ended.catch(() => {});
    return started;
  }

  describe("where neither Deno nor Bun is installed", () => {
    for (const major of majors) {
      it(`says what to install for tasks, on Node ${major}`, async () => {
        for (const line of [["worker"], ["tasks"], ["compile", "-o", "shop"]]) {
          const { code, stderr } = await celeriac(major, ...line, "-A", "shop.ts");
          assert.equal(code, 2);
          assert.match(stderr, /^error: tasks run on Deno or Bun, not on Node: npm install deno .*\n$/);
        }
      });
    }

    it("runs what is for clients on Node itself", async () => {
      assert.equal(await runtime(20), "node");
      const { code, stdout } = await celeriac(20, "queues", "-b", redis.url);
      assert.deepEqual([code, stdout], [0, "(no queues yet)\n"]);
    });

    it("runs the tests of its users on Node itself", async () => {
      await project.write({ "testing.mjs": testing });
      for (const major of majors) {
        const { code, stdout, stderr } = await run(major, ["testing.mjs"]);
        assert.deepEqual([code, stdout, stderr], [0, "3 after an hour\n", ""]);
      }
    });

    it("says that Node 20 has no SQLite; Node 22 has", async () => {
      const old = await celeriac(20, "queues", "-b", "sqlite:./own.db");
      assert.equal(old.code, 2);
      assert.match(
        old.stderr,
        /^error: sqlite:\.\/own\.db: node 20\S+ has no SQLite: use Node 22\.13 or newer, .*\n$/,
      );
      const { code, stdout } = await celeriac(22, "queues", "-b", "sqlite:./own.db");
      assert.deepEqual([code, stdout], [0, "(no queues yet)\n"]);
    });

    it("refuses a runtime that is not there, or not known", async () => {
      const missing = await run(20, [bin, "report"], { CELERIAC_RUNTIME: "bun" });
      assert.deepEqual([missing.code, missing.stderr], [
        2,
        'error: CELERIAC_RUNTIME is "bun", and there is no bun: npm install bun\n',
      ]);
      const unknown = await run(20, [bin, "report"], { CELERIAC_RUNTIME: "perl" });
      assert.deepEqual([unknown.code, unknown.stderr], [
        2,
        'error: CELERIAC_RUNTIME is "perl": set it to deno or bun\n',
      ]);
    });
  });

  describe("where a runtime is on the PATH", () => {
    const place = () => join(bare.PATH, runtimeName);
    after(() => rm(place(), { force: true }));

    it("runs on it", async () => {
      await symlink(process.execPath, place());
      assert.equal(await runtime(20), runtimeName);
    });

    it("runs on the program behind the script that npm has put there", async () => {
      await rm(place());
      const script = { deno: "deno/bin.cjs", bun: "bun/bin/bun.exe" }[runtimeName as "deno" | "bun"];
      await symlink(join(root, "node_modules", script), place());
      assert.equal(await runtime(22), runtimeName);
    });
  });

  describe("where Deno and Bun are dependencies", () => {
    before(() => project.link("deno", "@deno", "bun", "@oven"));

    it("runs on the one that is chosen, Deno by default", async () => {
      assert.equal(await runtime(20), "deno");
      assert.equal(await runtime(22, { CELERIAC_RUNTIME: "bun" }), "bun");
    });

    it("hands the exit code on", async () => {
      for (const major of majors) {
        const { code, stderr } = await celeriac(major, "tasks", "-A", "missing.ts");
        assert.equal(code, 2);
        assert.match(stderr, /no task module missing\.ts/);
      }
    });

    for (const major of majors) {
      it(`serves clients on Node ${major} and stops warmly on SIGTERM`, async () => {
        const running = await worker(major);
        const { code, stdout, stderr } = await run(major, ["client.mjs", redis.url]);
        assert.deepEqual([code, stdout, stderr], [0, "ended with 0\n", ""]);

        const call = celeriac(major, "call", "shop.slowly", "0.2", "-b", redis.url);
        await running.line(/at it/);
        assert.equal(await running.stop(), 0);
        assert.equal((await call).stdout, '"done"\n');
      });
    }

    it("leaves no worker behind when what Node 20 started is killed", async () => {
      const running = await worker(20);
      await running.kill();
      // All that the worker has said is read, and its end of the pipe is closed.
      assert.match(running.lines.at(-1) ?? "", /has stopped/);
    });
  });

  it("runs from a checkout's sources on Node 22", async () => {
    const program = await readFile(join(project.path, "client.mjs"), "utf8");
    const sources = JSON.stringify(join(root, "mod.ts"));
    await project.write({ "from_sources.mjs": program.replace('"celeriac"', sources) });
    const running = await worker(22);
    const { code, stdout, stderr } = await run(22, ["from_sources.mjs", redis.url]);
    assert.deepEqual([code, stdout, stderr], [0, "ended with 0\n", ""]);
    assert.equal(await running.stop(), 0);
  });
});
