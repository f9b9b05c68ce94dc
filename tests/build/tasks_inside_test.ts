/** `celeriac compile`: executables with task modules inside, made from the sources and by an executable itself. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { celeriac, type Ended, Machine } from "./machine.ts";

const files = {
  "jobs/mail.ts": `import { task } from "celeriac";
import { letter } from "letters";
import { unnamed } from "../aside.ts";
import { check, Refused as Checked } from "../check.ts";

interface Letter { readonly to: string }
class Refused extends Error {}

export const send = task(
  { params: ["to", "text"], queue: "mail", priority: 3, throws: [Refused, Checked, "Other"], resultExpires: 60 },
  (to: string, text = ""): string => letter({ to } satisfies Letter, text),
);
export const fail = (to: string): unknown => [check(to)];
export const bound = task({ bind: true, name: "named.otherwise" }, (ctx): string => ctx.name);
export const onward = async (): Promise<string> => await send.delay("cid", "ho");
export const nowhere = async (): Promise<unknown> => await unnamed.delay();
`,
  "jobs/deep/count.ts":
    'import { task } from "celeriac";\n\nexport default {\n  up: (n: number): number => n + 1,\n' +
    '  down: task({ isolation: "process" }, (n: number): number => n - 1),\n};\n',
  "jobs/files.ts": `import page from "../page.txt" with { type: "text" };
import { seal } from "seals";

export const read = (): string[] => [page, seal()];
export const aside = (n: number): Promise<unknown> => new Promise((resolve) => {
  const thread = new Worker(new URL("../thread.ts", import.meta.url), { type: "module" });
  thread.onmessage = ({ data }) => (thread.terminate(), resolve(data));
  thread.postMessage(n);
});
`,
  "page.txt": "a page",
  "thread.ts":
    'import { half } from "./half.ts";\nself.onmessage = ({ data }: MessageEvent<number>) => postMessage(half(data));\n',
  "half.ts": "export const half = (n: number): number => n / 2;\n",
  "node_modules/seals/package.json":
    '{ "name": "seals", "version": "1.0.0", "type": "module", "exports": "./index.js" }',
  "node_modules/seals/index.js":
    'import { readFileSync } from "node:fs";\nexport const seal = () => readFileSync(new URL("./seal.txt", import.meta.url), "utf8");\n',
  "node_modules/seals/seal.txt": "a seal",
  "aside.ts": 'import { task } from "celeriac";\n\nexport const unnamed = task(() => 1);\n',
  "check.ts":
    "export class Refused extends Error {}\nexport function check(to: string): never {\n  throw new RangeError(`no ${to}`);\n}\n",
  "node_modules/letters/package.json": '{ "name": "letters", "version": "1.0.0", "exports": "./index.cjs" }',
  "node_modules/letters/index.cjs": "exports.letter = ({ to }, text) => `to ${to}: ${text}`;\n",
};

describe("an executable with tasks inside", () => {
  /** Where the sources lie, with an executable that has no tasks. */
  let sources: Machine;
  const made: { by: string; machine: Machine }[] = [];
  before(async () => {
    sources = await Machine.with({ compile: [] });
    await sources.write(files);
    const jobs = ["-A", "jobs", "--workdir", sources.path];
    made.push({ by: "the sources", machine: await Machine.with({ compile: jobs }) });
    const { code, stderr } = await sources.run("compile", "-A", "jobs", "-o", "out/again");
    assert.equal(code, 0, stderr);
    const executable = join(sources.path, "out/again");
    made.push({ by: "an executable", machine: await Machine.with({ executable }) });
  });
  after(async () => {
    for (const { machine } of made) await machine[Symbol.asyncDispose]();
    await sources[Symbol.asyncDispose]();
  });

  for (const [i, by] of ["the sources", "an executable"].entries()) {
    describe(`that ${by} made`, () => {
      const broker = "sqlite:./own.db";
      const go = (...args: string[]): Promise<Ended> => made[i].machine.run(...args);

      it("says what is inside", async () => {
        assert.match((await go("--version")).stdout, /; one file, 3 task modules inside\)\n$/);
      });

      it("has the names and options that the sources have", async () => {
        const inside = JSON.parse((await go("tasks", "--json")).stdout);
        const outside = await celeriac(["tasks", "-A", "jobs", "--json", "--workdir", sources.path]);
        assert.deepEqual(inside, JSON.parse(outside.stdout));
        const send = inside.find(({ name }: { name: string }) => name === "mail.send");
        assert.deepEqual(send.options.throws, ["Refused", "Refused", "Other"]);
        const names = inside.map(({ name }: { name: string }) => name).sort();
        assert.deepEqual(names, [
          ...[
            "deep.count.down",
            "deep.count.up",
            "files.aside",
            "files.read",
            "mail.fail",
            "mail.nowhere",
            "mail.onward",
            "mail.send",
          ],
          "named.otherwise",
        ]);
      });

      it("runs its tasks, and shows their own files and lines", async () => {
        const worker = await made[i].machine.worker("-b", broker, "-Q", "celery,mail", "-c", "2");
        const call = (...args: string[]) => go("call", ...args, "-b", broker, "--timeout", "20");
        assert.equal((await call("mail.send", "ada", "hi", "--queue", "mail")).stdout, '"to ada: hi"\n');
        assert.equal((await call("mail.send", "-k", '{"to": "bob"}')).stdout, '"to bob: "\n');
        assert.equal((await call("mail.onward")).stdout, '"to cid: ho"\n');
        assert.equal((await call("named.otherwise")).stdout, '"named.otherwise"\n');
        assert.equal((await call("deep.count.up", "1")).stdout, "2\n");
        assert.equal((await call("deep.count.down", "1")).stdout, "0\n");
        assert.equal((await call("files.read")).stdout, '["a page","a seal"]\n');
        assert.equal((await call("files.aside", "4")).stdout, "2\n");
        const { code, stderr } = await call("mail.fail", "dan");
        assert.equal(code, 1);
        const frames = stderr.split("\n").filter((line) => /^\s+at /.test(line));
        assert.equal(frames.length, 2, stderr);
        assert.match(frames[0], /\bcheck\.ts:3:\d+/);
        assert.match(frames[1], /\bjobs\/mail\.ts:13:\d+/);
        const nameless = await call("mail.nowhere");
        assert.match(nameless.stderr, /TypeError: a task has no name: .*task\(\{ name \}, fn\)/);
        assert.equal(await worker.stop(), 0);
      });

      it("also loads task modules from disk", async () => {
        await made[i].machine.write({ "more.ts": "export const one = (): number => 1;\n" });
        const { stdout } = await go("tasks", "-A", "more.ts", "--json");
        assert.match(stdout, /"more\.one"/);
        assert.match(stdout, /"mail\.send"/);
      });

      it("says that what is inside can't be reloaded", async () => {
        const { code, stderr } = await go("worker", "--reload", "-b", broker);
        assert.equal(code, 2);
        assert.equal(
          stderr,
          "error: --reload: the tasks inside an executable can't be reloaded; leave it out\n",
        );
      });
    });
  }

  it("is made for another machine", async () => {
    const file = join(sources.path, "arm");
    const { code, stdout, stderr } = await celeriac(
      ["compile", "-A", "jobs", "--workdir", sources.path, "--target", "linux-arm64", "-o", file],
    );
    assert.equal(code, 0, stderr);
    assert.match(stdout, /9 tasks inside, linux-arm64, bun [\d.]+, \d+ MB\n$/);
    const handle = await open(file);
    const { buffer: header } = await handle.read(Buffer.alloc(20), 0, 20, 0);
    await handle.close();
    assert.equal(header.toString("latin1", 1, 4), "ELF");
    const ARM64 = 183;
    assert.equal(header.readUInt16LE(18), ARM64);
  });

  it("says in one line when the runtime for another machine can't be had", async () => {
    const { code, stderr } = await celeriac(
      ["compile", "-A", "jobs", "--workdir", sources.path, "--target", "linux-arm64-musl", "-o", "out/x"],
      { BUN_COMPILE_TARGET_TARBALL_URL: "http://127.0.0.1:1/none", BUN_INSTALL_CACHE_DIR: sources.path },
    );
    assert.equal(code, 69);
    assert.match(
      stderr,
      /^error: Bun for linux-arm64-musl can't be had from npm \(.*\): .*BUN_COMPILE_TARGET_TARBALL_URL.*@oven\/bun-linux-aarch64-musl.*\n$/,
    );
  });

  it("is refused for what a worker would refuse, and for what can't be bundled", async () => {
    await sources.write({
      "twice.ts": "export const one = 1;\n",
      "broken.ts": 'import nothing from "./not-there.ts";\nexport const a = (): unknown => nothing;\n',
    });
    const compile = (...args: string[]) =>
      celeriac(["compile", "--workdir", sources.path, "-o", "out/x", ...args]);
    const none = await compile("-A", "twice.ts");
    assert.equal(none.code, 2);
    assert.match(none.stderr, /^error: twice\.ts has no tasks/);
    const broken = await compile("-A", "broken.ts");
    assert.equal(broken.code, 2);
    assert.match(broken.stderr, /not-there\.ts/);
    const target = await compile("-A", "jobs", "--target", "linux-arm46");
    assert.equal(target.code, 2);
    assert.match(target.stderr, /there is no target linux-arm46; did you mean linux-arm64\?/);
    const folder = await compile("-A", "jobs", "-o", "jobs");
    assert.equal(folder.code, 2);
    assert.match(folder.stderr, /-o jobs is a folder/);
  });
});
