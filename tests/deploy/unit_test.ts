/** The systemd unit of `examples/deploy`: systemd itself finds nothing wrong with it, and it is closely confined. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import process from "node:process";
import { run } from "../build/machine.ts";

const unit = await readFile(new URL("../../examples/deploy/celeriac.service", import.meta.url), "utf8");

describe("the systemd unit", () => {
  let folder: string;
  let file: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "celeriac-unit-"));
    file = join(folder, "celeriac.service");
    // systemd looks whether the program is there.
    await writeFile(file, unit.replaceAll("/usr/local/bin/my-worker", process.execPath));
  });
  after(() => rm(folder, { recursive: true }));

  it("is valid", async () => {
    assert.deepEqual(await run("systemd-analyze", ["verify", "--man=no", file]), {
      code: 0,
      stdout: "",
      stderr: "",
    });
  });

  it("is confined: an exposure of at most 2 of 10", async () => {
    const { code, stdout } = await run("systemd-analyze", [
      ...["security", "--offline=yes", "--no-pager", "--threshold=20", file],
    ]);
    assert.equal(code, 0, stdout.split("\n").filter((line) => !line.startsWith("✓")).join("\n"));
    assert.match(stdout, /Overall exposure level/);
  });

  it("stops by the signal that lets a worker finish", () => {
    assert.match(unit, /^KillSignal=SIGTERM$/m);
    assert.match(unit, /^TimeoutStopSec=5min$/m);
  });
});
