/** The executable of `make build`, alone in an empty folder, with task modules beside it that it has never seen. */
import assert from "node:assert/strict";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type RedisServer, startRedis } from "../servers/redis.ts";
import type { TestWorker } from "../servers/worker.ts";
import { Machine, run } from "./machine.ts";

const tasks = `import { task } from "celeriac";
import { startTesting } from "celeriac/testing";
import { shout } from "loud";
import { add as known } from "./client/shop.ts";
import { price } from "./stock/price.ts";

export const add = task({ params: ["a", "b"] }, (a: number, b: number): number => a + b);
export const greet = (name: string): string => shout(\`hello \${name}\`);
export const fail = (): unknown => [price("nothing")];
export const die = (): void => process.exit(3);
export const apart = task({ isolation: "process" }, (): number => process.pid);
export const hoard = task({ memoryLimit: "64MB" }, (): never => {
  for (const kept: unknown[] = [];;) kept.push(new Array(10_000).fill(0).map(Math.random));
});
export const slow = task({ bind: true }, async (ctx, ms: number): Promise<string> => {
  ctx.log.info("under way");
  await new Promise((resolve) => setTimeout(resolve, ms));
  return "in the end";
});
export const environment = (): unknown => [process.env.FROM_DOTENV ?? null, typeof startTesting];
export const onward = async (): Promise<number> => await price.delay("pear") + await known.delay(2, 3);
`;

const price = `import { task } from "celeriac";

export const price = task((what: string): number => {
  if (what === "nothing") throw new RangeError("no price");
  return what.length;
});
`;

/** Never loaded as a task module: its name is known by its file. */
const client = `import { task } from "celeriac";

export const add = task((a: number, b: number): number => a + b);
`;

const files = {
  "client/shop.ts": client,
  "shop.ts": tasks,
  "stock/price.ts": price,
  "node_modules/loud/package.json":
    '{ "name": "loud", "version": "1.0.0", "type": "module", "exports": "./loud.js" }',
  "node_modules/loud/loud.js": "export const shout = (text) => text.toUpperCase();\n",
  // What lies about in a folder changes nothing of a service.
  ".env": "FROM_DOTENV=yes\nCELERIAC_BROKER_URL=redis://nowhere.invalid\n",
  "bunfig.toml": 'preload = ["./not-there.ts"]\n',
};

describe("one executable file", () => {
  let machine: Machine;
  let redis: RedisServer;
  before(async () => {
    [machine, redis] = await Promise.all([Machine.with({ compile: [] }), startRedis()]);
    await machine.write(files);
  });
  after(async () => {
    await machine[Symbol.asyncDispose]();
    await redis.stop();
  });

  const call = async (broker: string, ...args: string[]) => {
    const { code, stdout, stderr } = await machine.run("call", ...args, "-b", broker, "--timeout", "20");
    return { code, stdout: stdout.trim(), stderr };
  };

  it("says what it is", async () => {
    const [version, report] = await Promise.all([machine.run("--version"), machine.run("report")]);
    assert.match(
      version.stdout,
      /^celeriac \d+\.\d+\.\d+ \(bun [\d.]+; one file, task modules from disk\)\n$/,
    );
    assert.match(report.stdout, /^celeriac: .*, one file, task modules from disk\nbun: [\d.]+\n/);
    assert.match(report.stdout, /brokerUrl +"sqlite:\.\/celeriac\.db" +default/);
  });

  it("lists the tasks of modules on disk, and completes command lines", async () => {
    const list = await machine.run("tasks", "-A", "shop.ts", "--json");
    const names = JSON.parse(list.stdout).map(({ name }: { name: string }) => name);
    assert.deepEqual(
      names.sort(),
      ["add", "apart", "die", "environment", "fail", "greet", "hoard", "onward", "slow"].map((n) =>
        `shop.${n}`
      ),
    );
    assert.match((await machine.run("completions", "bash")).stdout, /complete .*celeriac/);
  });

  for (const kind of ["SQLite", "Redis"]) {
    describe(`with a worker on ${kind}`, () => {
      let broker: string;
      let worker: TestWorker;
      before(async () => {
        broker = kind === "Redis" ? redis.url : "sqlite:./shop.db";
        worker = await machine.worker("-A", "shop.ts", "-A", "stock", "-b", broker, "-c", "2");
      });

      it("runs tasks that import celeriac, packages of their own, and one another", async () => {
        assert.equal((await call(broker, "shop.add", "1", "2")).stdout, "3");
        assert.equal((await call(broker, "shop.add", "--kwargs", '{"a": 1, "b": 4}')).stdout, "5");
        assert.equal((await call(broker, "shop.greet", "ada")).stdout, '"HELLO ADA"');
        assert.equal((await call(broker, "shop.environment")).stdout, '[null,"function"]');
      });

      it("shows an error's own place, and nothing of celeriac's", async () => {
        const { code, stderr } = await call(broker, "shop.fail");
        assert.equal(code, 1);
        const frames = stderr.split("\n").filter((line) => /^\s+at /.test(line));
        assert.match(frames[0], /\/stock\/price\.ts:4:\d+/);
        assert.match(frames.at(-1)!, /\/shop\.ts:9:\d+/);
      });

      it("sends on from a task", async () => {
        // Both isolates are free: one waits for what the other does.
        assert.equal((await call(broker, "shop.onward")).stdout, "9");
      });

      it("replaces an isolate that ends itself", async () => {
        const { code, stderr } = await call(broker, "shop.die");
        assert.equal(code, 1);
        assert.match(stderr, /WorkerLostError/);
        assert.equal((await call(broker, "shop.add", "2", "2")).stdout, "4");
      });

      it("runs tasks in processes of their own", async () => {
        assert.notEqual((await call(broker, "shop.apart")).stdout, String(worker.pid));
        const { code, stderr } = await call(broker, "shop.hoard");
        assert.equal(code, 1);
        assert.match(stderr, /MemoryLimitExceeded/);
      });

      it("is seen by status, queues, result and purge", async () => {
        assert.equal((await machine.run("status", "-b", broker)).code, 0);
        const sent = await machine.run("call", "shop.add", "5", "6", "--detach", "-b", broker);
        const result = await machine.run("result", sent.stdout.trim(), "-b", broker, "--timeout", "20");
        assert.equal(result.stdout, "11\n");
        await machine.run("call", "shop.add", "1", "1", "--queue", "aside", "--detach", "-b", broker);
        const queues = await machine.run("queues", "-Q", "aside", "-b", broker, "--json");
        assert.equal(JSON.parse(queues.stdout)[0].ready, 1);
        const purged = () => machine.run("purge", "-f", "-Q", "aside", "-b", broker);
        assert.equal((await purged()).stdout, "aside: 1 messages dropped\n");
        assert.equal((await purged()).stdout, "aside: 0 messages dropped\n");
      });

      it("finishes what runs on SIGTERM", async () => {
        const called = call(broker, "shop.slow", "700");
        await worker.line(/under way/);
        worker.signal("SIGTERM");
        assert.equal(await worker.exited, 0);
        assert.equal((await called).stdout, '"in the end"');
        assert.equal((await machine.run("status", "-b", broker)).code, 1);
      });
    });
  }

  it("runs tasks in processes of their own also when it has been replaced meanwhile", async () => {
    const broker = "sqlite:./replaced.db";
    const worker = await machine.worker("-A", "shop.ts", "-b", broker, "-c", "1");
    const place = join(machine.path, "celeriac"), aside = join(machine.path, "aside");
    await rename(place, aside);
    await writeFile(place, "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    const line = ["call", "shop.apart", "-b", broker, "--timeout", "20"];
    const { code, stderr } = await run(aside, line, { cwd: machine.path, env: {} });
    await rename(aside, place);
    assert.equal(code, 0, stderr);
    assert.equal(await worker.stop(), 0);
  });

  it("reads settings that import celeriac", async () => {
    await machine.write({
      "settings.ts":
        'import { TaskError } from "celeriac";\nexport default { taskDefaultQueue: TaskError.name };\n',
    });
    const { stdout } = await machine.run("report", "--config", "settings.ts");
    assert.match(stdout, /taskDefaultQueue +"TaskError" +settings\.ts/);
  });

  it("reloads task modules on disk", async () => {
    const broker = "sqlite:./reload.db";
    await machine.write({ "one.ts": "export const value = (): number => 1;\n" });
    const worker = await machine.worker("-A", "one.ts", "-b", broker, "-c", "1", "--reload");
    assert.equal((await call(broker, "one.value")).stdout, "1");
    await machine.write({ "one.ts": "export const value = (): number => 2;\n" });
    await worker.line(/reloaded/);
    assert.equal((await call(broker, "one.value")).stdout, "2");
    assert.equal(await worker.stop(), 0);
  });
});
