/** What a confined isolate may load, read from the text of its modules. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { findModules } from "../../runtime/isolate/load_modules.ts";
import { sourcesOf } from "../../runtime/isolate/module_graph.ts";
import type { Confinement } from "../../runtime/isolate/permissions.ts";

const RUNTIME = fileURLToPath(new URL("../../runtime/", import.meta.url));

let root = "";
let count = 0;

before(async () => root = await realpath(await mkdtemp(join(tmpdir(), "celeriac-graph-"))));
after(() => rm(root, { recursive: true }));

/** A project in a folder of its own; its first file is the task module. */
async function project(files: Record<string, string>): Promise<string> {
  const folder = join(root, `project${++count}`);
  for (const [name, text] of Object.entries({ "package.json": "{}", ...files })) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  return folder;
}

/** The files of the project that the module `tasks.ts` in it is made of. */
async function sources(
  folder: string,
  permissions: Confinement["permissions"] = "none",
  module = "tasks.ts",
): Promise<string[]> {
  const all = await sourcesOf(await findModules([join(folder, module)]), permissions);
  return all.filter((file) => file.startsWith(folder)).map((file) => relative(folder, file)).sort();
}

async function refusal(
  text: string,
  permissions: Confinement["permissions"] = "none",
  more: Record<string, string> = {},
) {
  const folder = await project({ "tasks.ts": text, ...more });
  return await sources(folder, permissions).then(
    () => assert.fail("it was not refused"),
    (error: Error) => {
      assert.equal(error.name, "TaskModuleError");
      return error.message.replaceAll(folder, "");
    },
  );
}

describe("what a confined isolate is made of", () => {
  it("is all that its modules import, and what that imports", async () => {
    const folder = await project({
      "tasks.ts": `
        import { a } from "./lib/a.ts";
        import type { T } from "./types.ts";
        export { b } from "./lib/b.ts";
        export * from "./lib/c.mts";
        import data from "./data.json" with { type: "json" };
        import fs from "node:fs";
        export const later = async () => [await import("./lib/later.ts"), await import(a), await import(\`./lib/\${a}.ts\`)];
        export const t: T = data as never; fs;
        // import "./comment.ts"
        export const text = "import './text.ts'";
      `,
      "lib/a.ts": `import "./b.ts"; import "../tasks.ts"; export const a = "b";`,
      "lib/b.ts": "export const b = 1;",
      "lib/c.mts": "export const c = <const T,>(x: T): T => x;",
      "lib/later.ts": `export default (await import("../data2.json", { with: { type: "json" } })).default;`,
      "data.json": "{}",
      "data2.json": "{}",
      "types.ts": "export type T = import('./nowhere.ts').U;",
      "lib/unused.ts": "",
    });
    assert.deepEqual(await sources(folder), [
      "data.json",
      "data2.json",
      "lib/a.ts",
      "lib/b.ts",
      "lib/c.mts",
      "lib/later.ts",
      "tasks.ts",
    ]);
  });

  it("is read from code with JSX in it, too", async () => {
    const folder = await project({
      "tasks.tsx": `import { a } from "./a.ts";\nexport const view = () => <p>it's {a}</p>;`,
      "a.ts": "export const a = 1;",
    });
    assert.deepEqual(await sources(folder, "none", "tasks.tsx"), ["a.ts", "tasks.tsx"]);
    const reads = await project({
      "tasks.tsx":
        `import a from "./a.txt" with { type: "text" };\nexport const view = () => <p>it's {a}</p>;`,
      "a.txt": "",
    });
    await assert.rejects(sources(reads, "none", "tasks.tsx"), /tasks\.tsx:1 imports \.\/a\.txt, as text: /);
  });

  it("may be missing a file: then loading it says so", async () => {
    const folder = await project({
      "tasks.ts": `import "./nowhere.ts"; import "#nothing"; export function (`,
    });
    assert.ok((await sources(folder)).includes("tasks.ts"));
  });

  it("leaves packages and the program itself to the runtime", async () => {
    const folder = await project({
      "tasks.ts": `import "uuid"; import "npm:uuid"; import ${JSON.stringify(join(RUNTIME, "clock.ts"))};`,
    });
    assert.deepEqual(await sources(folder), ["tasks.ts"]);
    assert.ok((await sourcesOf([], "none")).includes(RUNTIME));
  });

  it("is never read as data", async () => {
    for (const type of ["text", "bytes"]) {
      const remedy = `as ${type}: that would read the file whatever the permissions say. ` +
        `Read it when the task runs, and permit that: permissions: { read: [...] }`;
      assert.equal(
        await refusal(`\nimport x from "./x.txt" with { type: "${type}" };`),
        `/tasks.ts:2 imports ./x.txt, ${remedy}`,
      );
      assert.equal(
        await refusal(
          `\n\nexport const x = () => import("file:///etc/passwd", { with: { type: '${type}' } });`,
        ),
        `/tasks.ts:3 imports file:///etc/passwd, ${remedy}`,
      );
    }
    assert.match(
      await refusal(
        `const how = { with: { type: "text" } };\nexport const x = () => import("./x.txt", how);`,
      ),
      /^\/tasks\.ts:2 imports \.\/x\.txt, in a way that can't be told before it runs: /,
    );
  });

  it("lies in the project", async () => {
    const outside = await project({ "secret.ts": "export default 1;" });
    const why =
      /^\/tasks\.ts:1 imports \S+, which lies outside of its project .*: a task with permissions of its own can't/;
    assert.match(await refusal(`import "${outside}/secret.ts";`), why);
    assert.match(await refusal(`import "../${relative(root, outside)}/secret.ts";`), why);
    assert.match(await refusal(`export const x = () => import("/etc/hosts");`), why);
    assert.match(
      await refusal(`import "./lib/a.ts";`, "none", {
        "lib/a.ts": `import "../../elsewhere.json" with { type: "json" };`,
      }),
      /^\/lib\/a\.ts:1 imports \.\.\/\.\.\/elsewhere\.json, which lies outside/,
    );
    const folder = await project({ "tasks.ts": `import "./link.ts";` });
    await symlink(join(outside, "secret.ts"), join(folder, "link.ts"));
    await assert.rejects(
      sources(folder),
      /tasks\.ts:1 imports \.\/link\.ts, which lies outside of its project/,
    );
  });

  it("may be part of a workspace, or of no project at all", async () => {
    const workspace = await project({
      "package.json": `{ "workspaces": ["shop", "lib"] }`,
      "shop/package.json": "{}",
      "shop/tasks.ts": `import "../lib/a.ts";`,
      "lib/a.ts": "",
    });
    assert.deepEqual(await sources(workspace, "none", "shop/tasks.ts"), ["lib/a.ts", "shop/tasks.ts"]);
    const alone = join(root, "alone");
    await mkdir(alone);
    await writeFile(join(alone, "tasks.ts"), `import "./a.ts";`);
    assert.deepEqual(await sources(alone), ["a.ts", "tasks.ts"]);
    await writeFile(join(alone, "tasks.ts"), `import "../a.ts";`);
    await assert.rejects(sources(alone), /outside of its project/);
  });

  it("comes from other hosts where that is permitted", async () => {
    const text = `import "https://example.com/a.ts";`;
    assert.match(
      await refusal(text),
      /^\/tasks\.ts:1 imports https:\/\/example\.com\/a\.ts, from another host, which its tasks may not: permit it/,
    );
    assert.match(await refusal(text, { net: true }), /from another host/);
    assert.match(await refusal(`export const x = () => import("jsr:@std/assert");`), /from another host/);
    const folder = await project({ "tasks.ts": text });
    assert.deepEqual(await sources(folder, { import: ["example.com"] }), ["tasks.ts"]);
  });
});
