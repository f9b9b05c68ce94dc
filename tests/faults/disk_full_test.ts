import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { within } from "../conformance/patience.ts";
import { commandLine, follow } from "../servers/worker.ts";
import { JOBS } from "../worker/workshop.ts";

const UNAVAILABLE = 69;

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(program: string, ...args: string[]): ChildProcess {
  return spawn(program, args, { env: { ...process.env, NO_COLOR: "1" }, stdio: ["pipe", "pipe", "pipe"] });
}

async function end(child: ChildProcess): Promise<Ended> {
  let stdout = "", stderr = "";
  child.stdout!.setEncoding("utf8").on("data", (text) => stdout += text);
  child.stderr!.setEncoding("utf8").on("data", (text) => stderr += text);
  child.stdin!.end();
  const [code] = await once(child, "close");
  return { code, stdout, stderr };
}

/** A disk of 4 MB, seen only by what is started in it; it goes when its keeper ends. */
class SmallDisk {
  readonly folder: string;
  readonly #keeper: ChildProcess;

  private constructor(folder: string, keeper: ChildProcess) {
    this.folder = folder;
    this.#keeper = keeper;
  }

  static async make(folder: string): Promise<SmallDisk> {
    const mount = `mount -t tmpfs -o size=4m tmpfs "${folder}" && echo mounted && exec cat`;
    const keeper = start("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount);
    await within(10_000, once(keeper.stdout!, "data"), "the disk");
    return new SmallDisk(folder, keeper);
  }

  /** A program that sees it. */
  start(program: string, ...args: string[]): ChildProcess {
    const enter = ["--target", String(this.#keeper.pid), "--user", "--preserve-credentials", "--mount"];
    return start("nsenter", ...enter, program, ...args);
  }

  celeriac(...args: string[]): Promise<Ended> {
    const [program, rest] = commandLine(...args);
    return end(this.start(program, ...rest));
  }

  async fill(): Promise<void> {
    const { stderr } = await end(this.start("sh", "-c", `cat /dev/zero > "${this.folder}/filler"`));
    assert.match(stderr, /No space left on device/);
  }

  async makeRoom(): Promise<void> {
    assert.equal((await end(this.start("rm", `${this.folder}/filler`))).code, 0);
  }

  async close(): Promise<void> {
    this.#keeper.stdin!.end();
    await once(this.#keeper, "close");
  }
}

/** Containers may forbid what it takes. */
const canMount =
  spawnSync("unshare", ["--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "x", "/mnt"])
    .status === 0;

describe("a disk that takes no more", () => {
  let folder: string;
  let config: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "celeriac-disk-"));
    config = join(folder, "settings.json");
    await writeFile(config, '{"publishTimeout": 0.5}');
  });
  after(() => rm(folder, { recursive: true, force: true }));

  for (const command of [["worker", "-A", JOBS], ["call", "jobs.echo", "1"]]) {
    it(`ends a ${command[0]} in one line that says so`, async () => {
      const [program, rest] = commandLine(
        ...command,
        "--config",
        config,
        "-b",
        `sqlite:${folder}/limited.db`,
      );
      // No file of it may be larger than 16 blocks of 512 bytes.
      const limited = 'trap "" XFSZ; ulimit -f 16; exec "$0" "$@"';
      const { code, stdout, stderr } = await end(start("sh", "-c", limited, program, ...rest));
      assert.equal(code, UNAVAILABLE, stderr);
      assert.match(stderr, /^error: .*limited\.db: the disk .*\n$/);
      assert.equal(stdout, "");
    });
  }

  if (!canMount) return;

  it("because it is full ends a worker and a call in one line, with the same exit code", async () => {
    const place = join(folder, "full");
    await mkdir(place);
    const disk = await SmallDisk.make(place);
    try {
      await disk.fill();
      for (const command of [["worker", "-A", JOBS], ["call", "jobs.echo", "1"]]) {
        const { code, stdout, stderr } = await disk.celeriac(
          ...command,
          ...["--config", config, "-b", `sqlite:${place}/broker.db`],
        );
        assert.equal(code, UNAVAILABLE, stderr);
        assert.match(stderr, /^error: .*broker\.db: the disk is full: make room.*\n$/);
        assert.equal(stdout, "");
      }
    } finally {
      await disk.close();
    }
  });

  it("while a worker runs holds it up until there is room, and nothing is lost", async () => {
    const place = join(folder, "filled");
    await mkdir(place);
    const disk = await SmallDisk.make(place);
    const broker = ["-b", `sqlite:${place}/broker.db`];
    const [program, rest] = commandLine("worker", "-A", JOBS, "-c", "1", ...broker);
    const worker = follow(disk.start(program, ...rest));
    try {
      await within(10_000, worker.line(/ready/), "the worker");
      const gate = join(folder, "gate"), marks = join(folder, "marks");
      const sent = await disk.celeriac("call", "jobs.markAndHold", marks, gate, "--detach", ...broker);
      const id = sent.stdout.trim();
      await within(10_000, worker.line(/"message":"holding/), "the start of its task");
      await disk.fill();
      const refused = await disk.celeriac("call", "jobs.echo", "1", "--config", config, ...broker);
      assert.equal(refused.code, UNAVAILABLE, refused.stderr);
      await writeFile(gate, "");
      await within(
        10_000,
        worker.line(/"level":"error".*the disk is full/),
        "its word that the disk is full",
      );
      await disk.makeRoom();
      await within(10_000, worker.line(/"message":"Connected.*again/), "its word that it goes on");
      const result = await disk.celeriac("result", id, "--timeout", "5", ...broker);
      assert.deepEqual([result.code, result.stdout], [0, '"let go"\n'], result.stderr);
      const again = await disk.celeriac("call", "jobs.echo", "2", "--timeout", "5", ...broker);
      assert.deepEqual([again.code, again.stdout], [0, "2\n"], again.stderr);
    } finally {
      await worker.kill();
      await disk.close();
    }
  });
});
