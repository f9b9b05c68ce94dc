/** How a task finds out what it is called, by itself. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { declaredName, exportedName } from "../../runtime/client/task_name.ts";

const folder = mkdtempSync(join(tmpdir(), "celeriac-names-"));
after(() => rmSync(folder, { recursive: true }));

/** The name declared at the `task` of the last `task(` of a source. */
function nameIn(source: string): string | undefined {
  const path = join(folder, "shop.ts");
  writeFileSync(path, source);
  const before = source.slice(0, source.lastIndexOf("task(")).split("\n");
  return declaredName({
    file: pathToFileURL(path).href,
    line: before.length,
    column: before[before.length - 1].length + 1,
  });
}

describe("the name of a task by its declaration", () => {
  it("is the file's and the export's", () => {
    assert.equal(nameIn("export const buy = task(() => 1);"), "shop.buy");
    assert.equal(nameIn("const x = 1; export let sell = task({}, () => 1);"), "shop.sell");
    assert.equal(nameIn("export const größe2 = task(() => 1);"), "shop.größe2");
  });

  it("is found over several lines, with a type, and with a namespace before task", () => {
    assert.equal(nameIn("export const buy =\n  task(\n{}, () => 1);"), "shop.buy");
    assert.equal(nameIn("export const buy: Task<\n  [string],\n  number\n> = task(() => 1);"), "shop.buy");
    assert.equal(nameIn("export const buy = celeriac.task(() => 1);"), "shop.buy");
  });

  it("is not guessed where the declaration is not the task's own", () => {
    assert.equal(nameIn("const buy = task(() => 1);"), undefined);
    assert.equal(nameIn("export const buy = logged(task(() => 1));"), undefined);
    assert.equal(nameIn("export const one = 1, buy = task(() => 1);"), undefined);
    assert.equal(nameIn("export const make = () => task(() => 1);"), undefined);
    assert.equal(nameIn("export const shop = { buy: task(() => 1) };"), undefined);
    assert.equal(nameIn("export const buy = 1;\ntask(() => 1);"), undefined);
  });

  it("is unknown where the source can't be read", () => {
    const file = pathToFileURL(join(folder, "gone.ts")).href;
    assert.equal(declaredName({ file, line: 1, column: 1 }), undefined);
  });
});

describe("the name of a task by its file's exports", () => {
  it("is found under another name, and in a default export", async () => {
    const path = join(folder, "stock.mjs");
    writeFileSync(
      path,
      "export const kept = [() => 1, () => 2];\nconst [a, b] = kept;\nexport { a as count };\nexport default { sweep: b };\n",
    );
    const file = pathToFileURL(path).href;
    const { kept } = await import(file);
    assert.equal(await exportedName(kept[0], file), "stock.count");
    assert.equal(await exportedName(kept[1], file), "stock.sweep");
  });

  it("says what to do where there is none", async () => {
    const path = join(folder, "hidden.mjs");
    writeFileSync(path, "export const other = 1;\n");
    const file = pathToFileURL(path).href;
    await assert.rejects(exportedName(() => 1, file), {
      name: "TypeError",
      message:
        `a task of ${file} has no name: export it from its file, or give it one with task({ name }, fn)`,
    });
    await assert.rejects(exportedName(() => 1, undefined), /^TypeError: a task has no name: export it/);
  });
});
