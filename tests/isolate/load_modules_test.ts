import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { findModules, loadTasks, TaskModuleError } from "../../runtime/isolate/load_modules.ts";

let folder = "";

const files: Record<string, string> = {
  "tasks/math.ts": "export const add = (x: number, y: number): number => x + y; export const PI = 3;",
  "tasks/img/resize.ts": "export function small() { return 1; }",
  "tasks/img/resize_test.ts": "export function notATask() {}",
  "tasks/.hidden/secret.ts": "export function secret() {}",
  "whole.ts": "export default { first() { return 1; }, second: async () => 2, third: 3 };",
  "classes.ts": "export class Own extends Error {} export function raise() { throw new Own(); }",
  "twice.ts": "export function add() {}",
  "other/twice.ts": "export function add() {}",
  "empty.ts": "export const nothing = 1;",
  "throws.ts": "throw new RangeError('bad start');\nexport function never() {}",
  "syntax.ts": "export function (",
};

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "celeriac-modules-"));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
});
after(() => rm(folder, { recursive: true }));

async function names(patterns: string[], prefix?: string): Promise<string[]> {
  return [...(await loadTasks(await findModules(patterns, { cwd: folder, prefix }))).keys()].sort();
}

function refused(message: RegExp) {
  return (error: unknown) => error instanceof TaskModuleError && message.test(error.message);
}

describe("task modules", () => {
  it("name a file's tasks by its base name", async () => {
    assert.deepEqual(await names(["tasks/math.ts"]), ["math.add"]);
    assert.deepEqual(await names([join(folder, "tasks/img/resize.ts")]), ["resize.small"]);
  });

  it("name a folder's tasks by their paths below it, and leave tests and hidden files out", async () => {
    assert.deepEqual(await names(["tasks"]), ["img.resize.small", "math.add"]);
  });

  it("take a glob for each file it matches", async () => {
    assert.deepEqual(await names(["tasks/**/{math,resize}.ts"]), ["math.add", "resize.small"]);
  });

  it("load a file once that two patterns name", async () => {
    assert.deepEqual(await names(["tasks/math.ts", "tasks/math.ts"]), ["math.add"]);
  });

  it("put a prefix in front", async () => {
    assert.deepEqual(await names(["tasks"], "shop"), ["shop.img.resize.small", "shop.math.add"]);
  });

  it("take the functions of a default export", async () => {
    assert.deepEqual(await names(["whole.ts"]), ["whole.first", "whole.second"]);
  });

  it("take no class for a task", async () => {
    assert.deepEqual(await names(["classes.ts"]), ["classes.raise"]);
  });

  it("call a task by the name in its options", async () => {
    const mod = new URL("../../mod.ts", import.meta.url).href;
    await writeFile(
      join(folder, "named.ts"),
      `import { task } from "${mod}"; export const x = task({ name: "shop.pay" }, () => 1);`,
    );
    assert.deepEqual(await names(["named.ts"], "prefix"), ["shop.pay"]);
  });

  it("refuse a time limit that is none", async () => {
    const mod = new URL("../../mod.ts", import.meta.url).href;
    for (const [limit, shown] of [['"5"', '"5"'], ["-1", "-1"], ["NaN", "NaN"]]) {
      const file = `limited${shown.length}${shown.charCodeAt(0)}.ts`;
      await writeFile(
        join(folder, file),
        `import { task } from "${mod}"; export const x = task({ timeLimit: ${limit} as number }, () => 1);`,
      );
      await assert.rejects(
        names([file]),
        refused(new RegExp(`x of .*${file}: its timeLimit is ${shown}, but must be a number of seconds`)),
      );
    }
  });

  it("refuse two tasks of one name, and say where both are", async () => {
    await assert.rejects(
      names(["twice.ts", "other/twice.ts"]),
      refused(/two tasks are called twice\.add.*twice\.ts.*other\/twice\.ts/),
    );
  });

  it("refuse a module without tasks", async () => {
    await assert.rejects(names(["empty.ts"]), refused(/empty\.ts has no tasks/));
  });

  it("say why a module does not load", async () => {
    await assert.rejects(names(["throws.ts"]), refused(/throws\.ts does not load: [^]*bad start/));
    await assert.rejects(names(["syntax.ts"]), refused(/syntax\.ts does not load/));
  });

  it("refuse a pattern that names nothing", async () => {
    await assert.rejects(names(["nowhere.ts"]), refused(/no task module nowhere\.ts/));
    await mkdir(join(folder, "void"));
    await assert.rejects(names(["void"]), refused(/folder void has no/));
    await assert.rejects(names([""]), refused(/has the name ""/));
    await writeFile(join(folder, "notes.md"), "# Notes");
    await assert.rejects(names(["notes.md"]), refused(/^notes\.md is no task module: .* end with \.ts, /));
  });

  it("say what was meant: an ending left out, Python's dots, a slip", async () => {
    for (
      const [written, meant] of [
        ["twice", "twice.ts"],
        ["twice.py", "twice.ts"],
        ["tasks.math", "tasks/math.ts"],
        ["tasks/maht.ts", "tasks/math.ts"],
        ["tsks", "tasks"],
      ]
    ) {
      const message = new RegExp(`no task module ${written}: .*; did you mean ${meant}\\?$`);
      await assert.rejects(names([written]), refused(message));
    }
  });

  it("may be links, as in what a container engine mounts, and lead back to where they are", async () => {
    await mkdir(join(folder, "mounted/..2026"), { recursive: true });
    await writeFile(join(folder, "mounted/..2026/math.ts"), files["tasks/math.ts"]);
    await symlink("..2026", join(folder, "mounted/..data"));
    await symlink("..data/math.ts", join(folder, "mounted/math.ts"));
    await symlink("../tasks/img", join(folder, "mounted/img"));
    await symlink("..", join(folder, "mounted/back"));
    await symlink("nowhere.ts", join(folder, "mounted/broken.ts"));
    const found = (await findModules(["mounted"], { cwd: folder })).map(({ path }) => path);
    const own = found.filter((path) => !path.startsWith("mounted/back/"));
    assert.deepEqual(own, ["mounted/img/resize.ts", "mounted/math.ts"]);
    assert.ok(!found.some((path) => path.startsWith("mounted/back/mounted")));
  });

  it("below packages, and tests, are not what a glob means", async () => {
    await mkdir(join(folder, "tasks/node_modules/other"), { recursive: true });
    await writeFile(join(folder, "tasks/node_modules/other/math.ts"), "throw new Error();");
    assert.deepEqual(await names(["tasks/**/*.ts"]), ["math.add", "resize.small"]);
    assert.deepEqual(await names(["tasks"]), ["img.resize.small", "math.add"]);
  });
});
