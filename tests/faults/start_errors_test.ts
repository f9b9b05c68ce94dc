import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { freePort, type RedisServer, startRedis } from "../servers/redis.ts";
import { run } from "../servers/worker.ts";
import { JOBS } from "../worker/workshop.ts";

const USAGE = 2;
const UNAVAILABLE = 69;
const REFUSED = 77;

describe("what can't work is said in one line, with the exit code for it:", () => {
  let folder: string;
  let redis: RedisServer;
  let closedPort: number;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "celeriac-start-"));
    redis = await startRedis({ password: "open sesame" });
    closedPort = await freePort();
    await writeFile(
      join(folder, "letter.txt"),
      "This is a letter and no database, whatever its name may be.\n",
    );
    // A call tries for a while to reach its broker.
    await writeFile(join(folder, "celeriac.json"), '{"publishTimeout": 0.5}');
    await writeFile(join(folder, "empty.ts"), "export const a = 1;\n");
  });
  after(async () => {
    await redis.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** Runs a worker, and where it is about the broker a call, and looks at how they end. */
  async function ends(args: readonly string[], code: number, says: RegExp, call = false): Promise<void> {
    const commands = [
      ["worker", "-A", JOBS, ...args],
      ...(call ? [["call", "jobs.echo", "1", ...args]] : []),
    ];
    for (const command of commands) await endsWith(command, code, says);
  }

  async function endsWith(command: readonly string[], code: number, says: RegExp): Promise<void> {
    const { code: ended, stdout, stderr } = await run(command, { cwd: folder });
    const [line, ...rest] = stderr.trimEnd().split("\n");
    assert.equal(ended, code, stderr);
    assert.match(line, /^error: /);
    assert.match(line, says);
    // Below it only hints of the command line, in brackets.
    for (const hint of rest) assert.match(hint, /^\(.*\)$/, stderr);
    assert.equal(stdout, "");
    assert.doesNotMatch(stderr, /sesame|swordfish/);
  }

  const onRedis = (login: string, db = 0) => ["-b", `redis://${login}127.0.0.1:${redis.port}/${db}`];
  const inFolder = (name: string) => `sqlite:${join(folder, name)}`;

  it("a wrong password", () => ends(onRedis(":swordfish@"), REFUSED, /wrong user name or password/, true));
  it("no password", () => ends(onRedis(""), REFUSED, /asks for a password/, true));
  it("a database that does not exist", () =>
    ends(onRedis(":open%20sesame@", 4711), REFUSED, /no such database/, true));
  it("a broker that is not there", () =>
    ends(
      ["-b", `redis://:swordfish@127.0.0.1:${closedPort}/0`],
      UNAVAILABLE,
      /refused the connection: is Redis running there/,
      true,
    ));
  it("a host that does not exist", () =>
    ends(["-b", "redis://no-such-host.invalid/0"], UNAVAILABLE, /no-such-host\.invalid/));
  it("a result store that is not there", () =>
    ends(
      ["-b", inFolder("a.db"), "--result-backend", `redis://127.0.0.1:${closedPort}/0`],
      UNAVAILABLE,
      /is Redis running there/,
    ));
  it("a URL that is none", () => ends(["-b", "localhost"], USAGE, /"localhost" is not a URL/, true));
  it("a URL of something else", () =>
    ends(["-b", "mysql://me:swordfish@host/db"], USAGE, /there is no broker "mysql"/, true));
  it("a result store's URL of something else", () =>
    ends(
      ["-b", inFolder("b.db"), "--result-backend", "mongodb://me:swordfish@host"],
      USAGE,
      /no result store "mongodb"/,
    ));
  it("a file in a folder that is not there", () =>
    ends(["-b", inFolder("no/such.db")], USAGE, /the folder .*\/no cannot be reached/, true));
  it("a file that is no database", () =>
    ends(["-b", inFolder("letter.txt")], USAGE, /letter\.txt is not an SQLite database/, true));
  it("a folder in place of a file", () => ends(["-b", `sqlite:${folder}`], USAGE, /cannot be opened/, true));
  it("a flag that does not exist", () => ends(["--concurency", "2"], USAGE, /unknown option '--concurency'/));
  it("a flag's value that can't be", () =>
    ends(["-c", "many"], USAGE, /--concurrency .*whole number, 1 or more/));
  it("a command that does not exist", () => endsWith(["wroker"], USAGE, /unknown command 'wroker'/));
  it("a module that is not there", () =>
    endsWith(["worker", "-A", "nowhere.ts", "-b", inFolder("c.db")], USAGE, /no task module nowhere\.ts/));
  it("a module without tasks", () =>
    endsWith(["worker", "-A", "empty.ts", "-b", inFolder("d.db")], USAGE, /empty\.ts has no tasks/));
  it("no module", () => endsWith(["worker", "-b", inFolder("e.db")], USAGE, /no task modules: name them/));
});

describe("a module that throws when it is loaded", () => {
  it("is named with where it throws, and ends the worker with the exit code of a wrong use", async () => {
    const folder = await mkdtemp(join(tmpdir(), "celeriac-start-"));
    try {
      await writeFile(join(folder, "throws.ts"), "export function a() {}\nthrow new Error('not today');\n");
      const { code, stderr } = await run(["worker", "-A", "throws.ts", "-b", `sqlite:${folder}/a.db`], {
        cwd: folder,
      });
      assert.equal(code, USAGE);
      assert.match(stderr, /^error: throws\.ts does not load: Error: not today\n/);
      assert.match(stderr, /throws\.ts:2/);
      assert.doesNotMatch(stderr, /load_modules|inside\.ts/, "its own frames are nobody's business");
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
