/** The client on Node, which the worker does not run on: bundled as an application would, on Node as it is installed. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Folder } from "../cli/folder.ts";
import { type RedisServer, startRedis } from "../servers/redis.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

const program = (broker: string) => `
import { App, TaskError } from ${JSON.stringify(join(root, "mod.ts"))};
const app = new App({ broker: ${JSON.stringify(broker)} });
const sums = await Promise.all([1, 2, 3].map((n) => app.sendTask("demo.add", [n, 2n ** 64n])));
const error = await app.sendTask("demo.fail", ["so"]).get({ timeout: 30 }).catch((error) => error);
console.log(JSON.stringify({
  node: process.version,
  sums: sums.map(String),
  error: [error instanceof TaskError, error.type, error.message],
}));
await app.disconnect();
`;

describe("the client on Node", () => {
  let redis: RedisServer;
  let folder: Folder;
  before(async () => {
    redis = await startRedis();
    folder = await Folder.with({
      "demo.js":
        "export const add = (x, y) => BigInt(x) + y;\nexport function fail(why) { throw new RangeError(why); }",
    });
  });
  after(async () => {
    await folder[Symbol.asyncDispose]();
    await redis.stop();
  });

  it("sends tasks and gets results, big integers and errors", async () => {
    await folder.worker("-A", "demo.js", "-b", redis.url);
    await writeFile(join(folder.path, "program.ts"), program(redis.url));
    const bun = join(root, "node_modules/bun/bin/bun.exe");
    const build = ["build", "program.ts", "--target=node", "--splitting", "--outdir=out"];
    execFileSync(bun, build, { cwd: folder.path, stdio: "pipe" });
    const output = JSON.parse(
      execFileSync("node", ["out/program.js"], { cwd: folder.path, encoding: "utf8" }),
    );
    assert.ok(Number(/^v(\d+)/.exec(output.node)?.[1]) >= 20, output.node);
    assert.deepEqual(output.sums, ["18446744073709551617", "18446744073709551618", "18446744073709551619"]);
    assert.deepEqual(output.error, [true, "RangeError", "so"]);
  });
});
