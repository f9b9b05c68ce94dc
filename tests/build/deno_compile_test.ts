/** `make build-deno` where Deno's base program can't be had: what is missing is said in one line. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import process from "node:process";
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
