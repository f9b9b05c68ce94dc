/** The packed package, installed, on the runtime that the tests run on, and under the compiler. */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { runtimeName } from "../../runtime/platform.ts";
import { type RedisServer, startRedis } from "../servers/redis.ts";
import { follow, type TestWorker } from "../servers/worker.ts";
import { Project } from "./installed.ts";
import { consumer, shop } from "./project_files.ts";

const exec = promisify(execFile);
const tools = fileURLToPath(new URL("../../node_modules/", import.meta.url));
const runProgram = runtimeName === "deno" ? ["run", "-A"] : [];
/** How each runtime starts a package's command by itself. */
const runCommand = runtimeName === "deno" ? ["run", "-A", "npm:celeriac"] : ["x", "--bun", "celeriac"];

describe(`the package, installed, on ${runtimeName}`, () => {
  let redis: RedisServer;
  let project: Project;
  before(async () => {
    [redis, project] = await Promise.all([
      startRedis(),
      Project.with({ "shop.ts": shop, "consumer.ts": consumer }),
    ]);
    await project.link("@types/node", "undici-types");
  });
  after(async () => {
    await project[Symbol.asyncDispose]();
    await redis.stop();
  });

  const celeriac = (...args: string[]) =>
    exec(process.execPath, [...runCommand, ...args], { cwd: project.path, env: quiet });

  it("holds what was built, its command and its pages, and nothing else", async () => {
    const folder = join(project.path, "node_modules/celeriac");
    assert.deepEqual((await readdir(folder)).sort(), [
      "LICENSE",
      "README.md",
      "bin",
      "docs",
      "lib",
      "package.json",
    ]);
    assert.deepEqual(await readdir(join(folder, "bin")), ["celeriac.js"]);
    const files = await readdir(join(folder, "lib"), { recursive: true });
    const endings = new Set(files.map((file) => /\.(d\.ts|js\.map|[a-z]+)$/.exec(file)?.[1]));
    assert.deepEqual([...endings].sort(), [undefined, "d.ts", "js", "js.map"].sort());
  });

  it("runs TypeScript tasks for a client that has it, too", async () => {
    const bin = "node_modules/celeriac/bin/celeriac.js";
    const args = [...runProgram, bin, "worker", "-A", "shop.ts", "-b", redis.url, "-c", "1"];
    const child = spawn(process.execPath, args, { cwd: project.path, env: quiet });
    const worker: TestWorker = follow(child);
    await worker.line(/ready\b/);
    const { stdout } = await exec(process.execPath, [...runProgram, "client.mjs", redis.url], {
      cwd: project.path,
    });
    assert.equal(stdout, "ended with 0\n");
    const call = await celeriac("call", "shop.add", "1", "2", "-b", redis.url);
    assert.equal(call.stdout, "3\n");
    assert.equal(await worker.stop(), 0);
  });

  it("keeps its upkeep thread and its SQLite broker", async () => {
    const url = `sqlite:${join(project.path, "own.db")}`;
    const { stdout } = await celeriac("call", "shop.add", "1", "2", "--detach", "-b", url);
    const { stderr } = await celeriac("worker", "-A", "shop.ts", "-b", url, "--drain", "-c", "1");
    assert.match(stderr, /1 succeeded, 0 failed/);
    assert.equal((await celeriac("result", stdout.trim(), "-b", url)).stdout, "3\n");
  });

  it("makes an executable with tasks inside", async () => {
    const bun = join(tools, "bun/bin/bun.exe");
    const compile = ["x", "--bun", "celeriac", "compile", "-A", "shop.ts", "-o", "shop-worker"];
    const { stdout } = await exec(bun, compile, { cwd: project.path, env: quiet });
    assert.match(stdout, /^shop-worker: 4 tasks inside, for this machine, bun /);
    const [inside, outside] = await Promise.all([
      exec("./shop-worker", ["tasks", "--json"], { cwd: project.path, env: {} }),
      celeriac("tasks", "-A", "shop.ts", "--json"),
    ]);
    assert.deepEqual(JSON.parse(inside.stdout), JSON.parse(outside.stdout));
    const url = `sqlite:${join(project.path, "inside.db")}`;
    const sent = await celeriac("call", "shop.add", "1", "2", "--detach", "-b", url);
    await exec("./shop-worker", ["worker", "-b", url, "--drain", "-c", "1"], { cwd: project.path, env: {} });
    assert.equal((await celeriac("result", sent.stdout.trim(), "-b", url)).stdout, "3\n");
  });

  for (
    const [resolution, module] of [["bundler", "esnext"], ["node16", "node16"], ["nodenext", "nodenext"]]
  ) {
    it(`has types that a compiler finds by the rules of ${resolution}`, async () => {
      const options = {
        ...{ module, moduleResolution: resolution, target: "es2022", lib: ["es2022"] },
        ...{ strict: true, noEmit: true, allowImportingTsExtensions: true },
        ...{ typeRoots: [join(tools, "@types")], types: ["node"] },
      };
      const name = `tsconfig.${resolution}.json`;
      await project.write({ [name]: JSON.stringify({ compilerOptions: options, include: ["consumer.ts"] }) });
      const { stdout } = await exec("node", [join(tools, "typescript/bin/tsc"), "-p", name], {
        cwd: project.path,
      }).catch((error) => error);
      assert.equal(stdout, "");
    });
  }

  it("has types that Deno finds", async () => {
    const { stderr } = await exec(join(tools, "deno/deno"), ["check", "consumer.ts"], {
      cwd: project.path,
      env: quiet,
    }).catch((error) => error);
    assert.doesNotMatch(stderr, /ERROR/);
  });
});

const quiet = { ...process.env, NO_COLOR: "1", CELERIAC_BROKER_URL: "", CELERY_BROKER_URL: "" };
