/** `make build-deno` where Deno's base program can't be had: what is missing is said in one line; and what is inside. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { run } from "./machine.ts";

describe("make build-deno", () => {
  for (
    const { what, env, said } of [
      {
        what: "can't be downloaded",
        // No proxy answers there.
        env: { HTTPS_PROXY: "http://127.0.0.1:1" },
        said:
          /^error: deno compile needs its base program denort [\d.]+, which can't be downloaded here: set DENORT_BIN /,
      },
      {
        what: "is not where DENORT_BIN says",
        env: { DENORT_BIN: "/nowhere/denort" },
        said: /^error: there is no file \/nowhere\/denort, which DENORT_BIN names$/,
      },
    ]
  ) {
    it(`says in one line when its base program ${what}`, async () => {
      // Where nothing was ever downloaded.
      const cache = await mkdtemp(join(tmpdir(), "celeriac-deno-"));
      const { DENORT_BIN: _, ...others } = process.env;
      const { code, stdout, stderr } = await run("make", ["--no-print-directory", "build-deno"], {
        env: { ...others, DENO_DIR: cache, ...env } as Record<string, string>,
      });
      await rm(cache, { recursive: true });
      assert.notEqual(code, 0);
      assert.equal(stdout, "");
      const own = stderr.split("\n").filter((line) => line !== "" && !line.startsWith("make"));
      assert.equal(own.length, 1, stderr);
      assert.match(own[0], said);
      assert.match(stderr, /Error 69/);
    });
  }
});

describe("an executable that Deno makes", () => {
  it("has the packages inside, and no tools", async () => {
    const folder = await mkdtemp(join(tmpdir(), "celeriac-deno-"));
    const deno = fileURLToPath(new URL("../../node_modules/deno/deno", import.meta.url));
    const main = fileURLToPath(new URL("../../runtime/main.ts", import.meta.url));
    await writeFile(join(folder, "tasks.ts"), "export const one = (): number => 1;\n");
    // Any program will do to see what is put beside it; this one can't run what it is given.
    const { code, stdout, stderr } = await run(deno, [
      "run",
      "-A",
      main,
      "compile",
      "-A",
      "tasks.ts",
      "-o",
      "out",
    ], {
      cwd: folder,
      env: { ...process.env, DENORT_BIN: deno } as Record<string, string>,
    });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^out: 1 task inside, for this machine, deno [\d.]+, \d+ MB\n$/);
    const made = await readFile(join(folder, "out"));
    const own = made.subarray((await stat(deno)).size);
    assert.ok(own.length < 60e6, `${own.length} bytes`);
    for (const part of ["new Redis", "web_worker_entry", "export const one"]) {
      assert.ok(own.includes(part), part);
    }
    await rm(folder, { recursive: true });
  });
});
