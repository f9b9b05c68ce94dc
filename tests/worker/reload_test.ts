/** Task modules that change while a worker with `reload` runs them: real files, real isolates. */
import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { after, describe, it } from "node:test";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { configureSync, type LogRecord, resetSync } from "@logtape/logtape";
import { type AsyncResult, Worker } from "../../mod.ts";
import { FakeClock } from "../../runtime/fake_clock.ts";
import { runtimeName } from "../../runtime/platform.ts";
import { Reloader } from "../../runtime/worker/reload.ts";
import type { WorkerOptions } from "../../runtime/worker/worker_options.ts";
import { eventually, within } from "../conformance/patience.ts";
import { setUp } from "./in_process.ts";

const lines: string[] = [];
configureSync({
  sinks: { lines: (record: LogRecord) => void lines.push(`${record.level}: ${record.message.join("")}`) },
  loggers: [
    { category: ["celeriac", "worker"], lowestLevel: "info", sinks: ["lines"] },
    { category: ["logtape", "meta"], lowestLevel: "error", sinks: [] },
  ],
});
after(resetSync);

/** A folder with modules, and a worker on them. */
class Desk implements AsyncDisposable {
  readonly folder: string;
  readonly #place = setUp();
  #from = 0;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async with(
    files: Record<string, string>,
    patterns: readonly string[] = ["tasks"],
    options: Partial<WorkerOptions> = {},
  ): Promise<Desk> {
    const desk = new Desk(await mkdtemp(join(tmpdir(), "celeriac-reload-")));
    for (const [name, text] of Object.entries(files)) await desk.write(name, text);
    await desk.#place.worker(patterns.map((pattern) => join(desk.folder, pattern)), {
      reload: true,
      ...options,
    });
    desk.#from = lines.length;
    return desk;
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  async write(name: string, text: string): Promise<void> {
    await mkdir(dirname(this.path(name)), { recursive: true });
    await writeFile(this.path(name), text);
  }

  call<T>(task: string, ...args: unknown[]): AsyncResult<T> {
    return this.#place.app.sendTask<T>(task, args);
  }

  /** What was logged since the start. */
  get log(): string[] {
    return lines.slice(this.#from);
  }

  /** Waits for a line and takes it, with all before it, out of what comes next. */
  async line(pattern: RegExp): Promise<string> {
    let found = -1;
    await eventually(() => {
      found = lines.findIndex((line, i) => i >= this.#from && pattern.test(line));
      assert.ok(found >= 0, `no line ${pattern} among:\n${this.log.join("\n")}`);
    });
    this.#from = found + 1;
    return lines[found];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#place.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

const version = (n: number) => `export const version = (): number => ${n};\n`;
const gated = (version: string) => `
  import { appendFileSync, existsSync } from "node:fs";
  export async function hold(gate: string): Promise<string> {
    appendFileSync(gate + "-began", "x");
    while (!existsSync(gate)) await new Promise((resolve) => setTimeout(resolve, 2));
    return "${version}";
  }
  export const quick = (file: string): string => (appendFileSync(file, "x"), "${version}");
`;
const began = (gate: string) => eventually(() => readFile(`${gate}-began`));

async function use(desk: Promise<Desk>, run: (desk: Desk) => Promise<void>): Promise<void> {
  const opened = await desk;
  try {
    await run(opened);
  } finally {
    await opened[Symbol.asyncDispose]();
  }
}

describe("a worker with reload", () => {
  it("runs new code after a module, what it imports, or what that imports has changed", async () => {
    const files = {
      "tasks/a.ts": `import { b } from "../lib/b.ts";\nexport const run = (): string => "a1 " + b();\n`,
      "lib/b.ts":
        `import c from "./c.json" with { type: "json" };\nexport const b = (): string => "b1 " + c.c;\n`,
      "lib/c.json": `{ "c": 1 }`,
    };
    await use(Desk.with(files), async (desk) => {
      assert.equal(await desk.call("a.run"), "a1 b1 1");
      await desk.write("lib/c.json", `{ "c": 2 }`);
      await desk.line(/reloaded .*lib\/c\.json \(\d+ ms\)$/);
      assert.equal(await desk.call("a.run"), "a1 b1 2");
      await desk.write("lib/b.ts", `import { d } from "./d.ts";\nexport const b = () => d;\n`);
      await desk.line(/^error: [^]*lib\/b\.ts:1:19/);
      await desk.write("lib/d.ts", `export const d: string = "new";\n`);
      await desk.line(/reloaded /);
      assert.equal(await desk.call("a.run"), "a1 new");
    });
  });

  it("notices what is imported by an alias, without an ending, or from outside of the folder of -A", async () => {
    // Deno reads its aliases from the program's own deno.json, Bun from the one beside the module; Deno wants endings.
    const isBun = runtimeName === "bun";
    const files = {
      "package.json": `{ "name": "shop", "type": "module" }`,
      "tsconfig.json": `{ "compilerOptions": { "paths": { "@lib/*": ["./lib/*"] } } }`,
      "app/tasks/t.ts": `export { version } from "${isBun ? "@lib/version.ts" : "../../lib/version.ts"}";\n`,
      "lib/version.ts": `export { version } from "${isBun ? "./number" : "./number.ts"}";\n`,
      "lib/number.ts": version(1),
    };
    await use(Desk.with(files, ["app/tasks"]), async (desk) => {
      await desk.write("lib/number.ts", version(2));
      await desk.line(/reloaded .*lib\/number\.ts \(/);
      assert.equal(await desk.call("t.version"), 2);
    });
  });

  it("lets what runs end in the old isolate, while all else goes to the new one", async () => {
    const options = { concurrency: 1 };
    await use(Desk.with({ "tasks/t.ts": gated("old") }, ["tasks/t.ts"], options), async (desk) => {
      const gate = desk.path("gate"), marks = desk.path("marks");
      const held = desk.call<string>("t.hold", gate);
      await began(gate);
      const behind = desk.call<string>("t.quick", marks);
      await behind.published;
      await desk.write("tasks/t.ts", gated("new"));
      assert.equal(await within(10_000, behind, "what waited behind the running task"), "new");
      assert.equal(await desk.call("t.quick", marks), "new");
      await writeFile(gate, "");
      assert.equal(await held, "old");
      assert.equal(await readFile(`${gate}-began`, "utf8"), "x", "it ran once");
      assert.equal(await readFile(marks, "utf8"), "xx");
    });
  });

  it("keeps the old code while the new does not load, and says where it is wrong", async () => {
    await use(Desk.with({ "tasks/t.ts": version(1) }), async (desk) => {
      await desk.write(
        "tasks/t.ts",
        "export const fine = 1;\nexport const version = (): number => 2 +* 3;\n",
      );
      const line = await desk.line(/^error: /);
      assert.match(line, /tasks\/t\.ts does not load/);
      assert.match(line, /tasks\/t\.ts:2:\d+/);
      assert.equal(await desk.call("t.version"), 1);
      await desk.write("tasks/t.ts", version(3));
      await desk.line(/reloaded .*tasks\/t\.ts \(/);
      assert.equal(await desk.call("t.version"), 3);
    });
  });

  it("uses tasks that were added, removed, and given other options, and names them in one line", async () => {
    const library = new URL("../../mod.ts", import.meta.url).href;
    const before = `import { task } from "${library}";\n` +
      "export const kept = task({ resultExpires: 5 }, () => 1);\nexport const old = () => 2;\n";
    await use(Desk.with({ "tasks/t.ts": before }, ["tasks/t.ts"]), async (desk) => {
      await desk.write(
        "tasks/t.ts",
        before.replace("Expires: 5", "Expires: 6").replace("const old", "const sub"),
      );
      const line = await desk.line(/reloaded /);
      assert.match(line, /^info: reloaded \S*tasks\/t\.ts: \+t\.sub -t\.old ~t\.kept \(\d+ ms\)$/);
      assert.equal(await desk.call("t.sub"), 2);
      await assert.rejects(async () => await desk.call("t.old"), { name: "NotRegistered" });
    });
  });

  it("takes up new files and folders below a folder of -A, and lets go of deleted ones", async () => {
    await use(Desk.with({ "tasks/t.ts": version(1) }), async (desk) => {
      await desk.write("tasks/deep/er/new.ts", version(2));
      await desk.line(/reloaded .*: \+deep\.er\.new\.version \(/);
      assert.equal(await desk.call("deep.er.new.version"), 2);
      await desk.write("tasks/deep/er/new.ts", version(3));
      await desk.line(/reloaded .*new\.ts \(/);
      await rm(desk.path("tasks/deep"), { recursive: true });
      await desk.line(/reloaded .*: -deep\.er\.new\.version \(/);
      await desk.write("tasks/deep/er/new.ts", version(4));
      await desk.line(/reloaded .*: \+deep\.er\.new\.version \(/);
      assert.equal(await desk.call("deep.er.new.version"), 4);
    });
  });

  it("watches a folder that took the place, and the number, of one that has gone", async () => {
    class Clock extends FakeClock {
      /** For how long was waited. */
      asked: number[] = [];
      override after(ms: number, run: () => void) {
        this.asked.push(ms);
        return super.after(ms, run);
      }
    }
    const folder = await mkdtemp(join(tmpdir(), "celeriac-reload-"));
    const deep = join(folder, "deep"), file = join(deep, "t.ts");
    mkdirSync(deep);
    writeFileSync(file, version(1));
    const clock = new Clock();
    let loaded = 0;
    const reloader = new Reloader({
      patterns: [folder],
      clock,
      load: () => Promise.resolve(void loaded++),
      failed: (error) => assert.fail(String(error)),
    });
    try {
      await reloader.start();
      rmSync(deep, { recursive: true });
      mkdirSync(deep);
      writeFileSync(file, version(2));
      await eventually(async () => {
        await clock.advance(200);
        assert.equal(loaded, 1);
      });
      // The look has ended, and the next one that nobody asks for is far.
      await eventually(async () => {
        await clock.advance(10);
        assert.ok(clock.asked.at(-1)! >= 1000);
      });
      clock.asked = [];
      writeFileSync(file, version(3));
      await eventually(() => assert.ok(clock.asked.some((ms) => ms < 200)));
    } finally {
      reloader.close();
      await rm(folder, { recursive: true });
    }
  });

  it("does not mind how an editor saves, nor what it leaves beside the file", async () => {
    await use(Desk.with({ "tasks/t.ts": version(1) }, ["tasks/t.ts"]), async (desk) => {
      const file = desk.path("tasks/t.ts");
      for (let i = 2; i < 5; i++) {
        await writeFile(`${file}.tmp`, version(i));
        await rename(`${file}.tmp`, file);
        await desk.line(/reloaded /);
        assert.equal(await desk.call("t.version"), i);
      }
      await writeFile(file, "");
      await writeFile(file, version(5));
      await desk.line(/reloaded /);
      await rename(file, `${file}~`);
      await writeFile(file, version(6));
      await desk.line(/reloaded /);
      await writeFile(file, version(6));
      await writeFile(`${file}~`, version(0));
      await writeFile(file, version(7));
      await desk.line(/reloaded /);
      assert.equal(await desk.call("t.version"), 7);
      assert.deepEqual(desk.log, []);
    });
  });

  it("loses no task and runs none twice through reload after reload under load", async () => {
    const counting = (n: number) =>
      `import { appendFileSync } from "node:fs";\n` +
      `export async function count(file: string, id: number) {\n` +
      `  appendFileSync(file, id + "\\n");\n` +
      `  if (id % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 5));\n` +
      `  return ${n};\n}\n`;
    const options = { concurrency: 2, slots: 3 };
    await use(Desk.with({ "tasks/t.ts": counting(0) }, ["tasks"], options), async (desk) => {
      const marks = desk.path("marks"), gate = desk.path("gate");
      await desk.write("tasks/g.ts", gated("first"));
      await desk.line(/reloaded /);
      const held = desk.call<string>("g.hold", gate);
      await began(gate);
      const results: AsyncResult<number>[] = [];
      for (let round = 1; round <= 10; round++) {
        for (let i = 0; i < 200; i++) results.push(desk.call("t.count", marks, results.length));
        await desk.write("tasks/t.ts", counting(round));
        if (round % 3 === 0) await desk.line(/reloaded /);
      }
      await within(120_000, Promise.all(results), "all results");
      await writeFile(gate, "");
      assert.equal(await held, "first");
      const ran = (await readFile(marks, "utf8")).trim().split("\n").map(Number).sort((a, b) => a - b);
      assert.deepEqual(ran, [...results.keys()]);
      await eventually(async () => assert.equal(await desk.call("t.count", marks, -1), 10));
    });
  });

  it("gives up a load that hangs when a newer version is there, and when it is stopped", async () => {
    const place = setUp();
    const folder = await mkdtemp(join(tmpdir(), "celeriac-reload-"));
    const file = join(folder, "t.ts"), began = join(folder, "began");
    const hanging = `import { appendFileSync } from "node:fs";\nappendFileSync("${began}", "x");\n` +
      `await new Promise(() => {});\n${version(2)}`;
    try {
      await writeFile(file, version(1));
      const worker = await place.worker([file], { reload: true });
      await writeFile(file, hanging);
      await eventually(async () => assert.equal(await readFile(began, "utf8"), "x"));
      assert.equal(await place.app.sendTask("t.version"), 1);
      await writeFile(file, version(3));
      await eventually(async () => assert.equal(await place.app.sendTask("t.version"), 3));
      await writeFile(file, hanging);
      await eventually(async () => assert.equal(await readFile(began, "utf8"), "xx"));
      worker.stop();
      await within(5_000, worker.done, "the worker's end");
    } finally {
      await place.close();
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("finishes what runs in old isolates when it is stopped, and hands nothing back that runs", async () => {
    const place = setUp();
    const folder = await mkdtemp(join(tmpdir(), "celeriac-reload-"));
    const file = join(folder, "t.ts"), gate = join(folder, "gate");
    try {
      await writeFile(file, gated("old"));
      const worker = await place.worker([file], { reload: true });
      const held = place.app.sendTask("t.hold", [gate]);
      await began(gate);
      await writeFile(file, gated("new"));
      await eventually(async () => assert.equal(await place.app.sendTask("t.quick", [`${gate}-q`]), "new"));
      assert.equal(worker.running, 1);
      worker.stop();
      await writeFile(gate, "");
      await within(5_000, worker.done, "the worker's end");
      assert.equal(await held, "old");
      const [length] = await (await place.app.transport()).lengths(["celery"]);
      assert.deepEqual([length.ready, length.unacked], [0, 0]);
    } finally {
      await place.close();
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("waits at its start for modules that do not load, until they do or it is stopped", async () => {
    const place = setUp();
    const folder = await mkdtemp(join(tmpdir(), "celeriac-reload-"));
    const file = join(folder, "t.ts");
    try {
      const from = lines.length;
      const isSaid = () =>
        assert.ok(lines.slice(from).some((line) => /begins when .*t\.ts does not load/.test(line)));
      await writeFile(file, "export const = 1;\n");
      const starting = place.worker([file], { reload: true });
      await eventually(isSaid);
      await writeFile(file, version(1));
      await within(10_000, starting, "the start");
      assert.equal(await place.app.sendTask("t.version"), 1);
      await writeFile(file, "throw new Error('not yet');\n");
      const other = new Worker({
        modules: [file],
        settings: place.app.settings,
        reload: true,
        concurrency: 1,
      });
      const waiting = other.start();
      await eventually(() =>
        assert.ok(lines.filter((line) => /begins when .*not yet/.test(line)).length > 0)
      );
      other.stop();
      await within(5_000, Promise.all([waiting, other.done]), "its end");
    } finally {
      await place.close();
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("fails the task whose old isolate dies, and replaces that isolate no more", async () => {
    const dying = (version: string) => `
      import { existsSync } from "node:fs";
      import process from "node:process";
      import { writeFileSync } from "node:fs";
      export async function die(gate: string) {
        writeFileSync(gate + "-began", "x");
        while (!existsSync(gate)) await new Promise((resolve) => setTimeout(resolve, 2));
        process.exit(3);
      }
      export const version = () => "${version}";
    `;
    const options = { concurrency: 1 };
    await use(Desk.with({ "tasks/t.ts": dying("old") }, ["tasks"], options), async (desk) => {
      const gate = desk.path("gate");
      const failing = desk.call("t.die", gate);
      await began(gate);
      await desk.write("tasks/t.ts", dying("new"));
      await desk.line(/reloaded /);
      await writeFile(gate, "");
      await assert.rejects(async () => await failing, { name: "WorkerLostError" });
      assert.equal(await desk.call("t.version"), "new");
    });
  });
});
