/** The command line end to end: a worker in one process, commands in others, on the default broker. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { TestWorker } from "../servers/worker.ts";
import { App, chain, group } from "../../mod.ts";
import { Folder } from "./folder.ts";

const tasks = `
import { existsSync } from "node:fs";
export function add(x, y) { return x + y; }
export function echo(...values) { console.log("echo", values.length); return values; }
export function fail(why) { throw new RangeError(why); }
/** Runs until the file is there. */
export async function hold(file) {
  console.log("holding");
  while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 10));
  return "let go";
}
`;

const json = ["--log-format", "json"];

/** A log line of the worker as it was written. */
async function lineOf(worker: TestWorker, pattern: RegExp): Promise<Record<string, unknown>> {
  return JSON.parse(await worker.line(pattern));
}

describe("a worker on the default broker", () => {
  let folder: Folder;
  let worker: TestWorker;
  before(async () => {
    folder = await Folder.with({ "demo.js": tasks });
    worker = await folder.worker("-A", "demo.js", "-n", "one@%n", ...json);
  });
  after(() => folder[Symbol.asyncDispose]());

  it("says when it is ready, and with what", async () => {
    const ready = await lineOf(worker, /ready/);
    assert.equal(ready.broker, "sqlite:./celeriac.db");
    assert.deepEqual(ready.queues, ["celery"]);
    assert.deepEqual(ready.tasks, ["demo.add", "demo.echo", "demo.fail", "demo.hold"]);
    assert.ok(existsSync(join(folder.path, "celeriac.db")));
  });

  it("runs what `call` sends, and `call` prints the result as JSON", async () => {
    assert.deepEqual(await folder.run(["call", "demo.add", "1", "2"]), {
      code: 0,
      stdout: "3\n",
      stderr: "",
    });
    const values = [
      "[1, null]",
      "NaN",
      "text",
      "--args",
      '["first"]',
      "--kwargs",
      '{"k": 123456789012345678901}',
    ];
    const { stdout } = await folder.run(["call", "demo.echo", ...values]);
    assert.equal(stdout.trim(), '["first", [1, null], NaN, "text", {"k": 123456789012345678901}]');
  });

  it("writes what a task prints as a log line with its name and id", async () => {
    await folder.run(["call", "demo.echo", "a", "--id", "id-of-this-call"]);
    const line = await lineOf(worker, /"echo 1".*id-of-this-call/);
    assert.deepEqual([line.task, line.id, line.level, line.own], [
      "demo.echo",
      "id-of-this-call",
      "info",
      true,
    ]);
  });

  it("lets `call` fail with the task's error", async () => {
    const { code, stdout, stderr } = await folder.run(["call", "demo.fail", "too much"]);
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /^RangeError: too much\n/);
    const unknown = await folder.run(["call", "demo.missing"]);
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /^NotRegistered: .*demo\.missing/);
  });

  it("is not waited for longer than --timeout, and its result is there later", async () => {
    const gate = join(folder.path, "gate-1");
    const held = await folder.run(["call", "demo.hold", gate, "--timeout", "0.1", "--id", "held"]);
    assert.equal(held.code, 75);
    const early = await folder.run(["result", "held"]);
    assert.equal(early.code, 75);
    assert.match(early.stderr, /^error: no result of held yet/);
    const waiting = folder.run(["result", "held", "--timeout", "60"]);
    await writeFile(gate, "");
    assert.deepEqual(await waiting, { code: 0, stdout: '"let go"\n', stderr: "" });
    const stored = JSON.parse((await folder.run(["result", "held", "--json", "--forget"])).stdout);
    assert.deepEqual([stored.id, stored.status, stored.result], ["held", "SUCCESS", "let go"]);
    assert.equal((await folder.run(["result", "held"])).code, 75);
  });

  it("leaves results that `result --tree` draws as the workflow that they belong to", async () => {
    const app = new App({ broker: `sqlite:${join(folder.path, "celeriac.db")}` });
    const echo = (i: number) => app.signature("demo.echo", [i]);
    const result = chain(app.signature("demo.add", [1, 2]), group([echo(1), echo(2)])).delay();
    await result;
    const first = result.parent!.id;
    const [one, two] = result.results;
    await app.disconnect();
    assert.deepEqual(await folder.run(["result", first, "--tree"]), {
      code: 0,
      stdout: [
        `${first} SUCCESS 3`,
        `└── group[${result.id}] of 2`,
        `    ├── ${one.id} SUCCESS [3,1]`,
        `    └── ${two.id} SUCCESS [3,2]`,
        "",
      ].join("\n"),
      stderr: "",
    });
    assert.equal((await folder.run(["result", "nothing", "--tree"])).stdout, "nothing PENDING\n");
  });

  it("answers `status`", async () => {
    const { code, stdout } = await folder.run(["status"]);
    assert.equal(code, 0);
    assert.match(stdout, /^one@\S+: OK\n$/);
    const node = stdout.split(":")[0];
    assert.equal((await folder.run(["status", "-d", node, "--json"])).code, 0);
    const other = await folder.run(["status", "-d", `${node},two@host`]);
    assert.equal(other.code, 1);
    assert.match(other.stderr, /no answer from two@host/);
  });
});

describe("queues without a worker", () => {
  let folder: Folder;
  before(async () => {
    folder = await Folder.with({ "demo.js": tasks });
  });
  after(() => folder[Symbol.asyncDispose]());

  it("are listed, purged, and drained", async () => {
    const id = (await folder.run(["call", "demo.add", "1", "2", "--detach"])).stdout.trim();
    await folder.run(["call", "demo.add", "1", "2", "--detach", "--queue", "mail"]);
    await folder.run(["call", "demo.add", "1", "2", "--detach", "--queue", "mail", "--countdown", "3600"]);
    const { stdout } = await folder.run(["queues", "--json"]);
    const lengths: { queue: string; ready: number }[] = JSON.parse(stdout);
    assert.deepEqual(lengths.map(({ queue, ready }) => [queue, ready]).sort(), [["celery", 1], ["mail", 2]]);
    assert.match((await folder.run(["queues", "-Q", "mail"])).stdout, /^QUEUE .*\nmail +2 +0 +0 +0\n$/);

    const asked = await folder.run(["purge", "-Q", "mail"]);
    assert.equal(asked.code, 2);
    assert.match(asked.stderr, /say -f/);
    assert.deepEqual(await folder.run(["purge", "-f", "-Q", "mail"]), {
      code: 0,
      stdout: "mail: 2 messages dropped\n",
      stderr: "",
    });

    const drained = await folder.run(["worker", "-A", "demo.js", "--drain", "-q", ...json]);
    assert.equal(drained.code, 0);
    assert.deepEqual(await folder.run(["result", id]), { code: 0, stdout: "3\n", stderr: "" });
    assert.equal((await folder.run(["status", "-t", "0.2"])).code, 1);
  });
});

describe("signals to a worker", () => {
  let folder: Folder;
  before(async () => {
    folder = await Folder.with({ "demo.js": tasks });
  });
  after(() => folder[Symbol.asyncDispose]());

  it("let it finish what runs and hand back the rest", async () => {
    const worker = await folder.worker("-A", "demo.js", "-c", "1", ...json);
    const gate = join(folder.path, "gate");
    const held = folder.run(["call", "demo.hold", gate]);
    await worker.line(/holding/);
    const id = (await folder.run(["call", "demo.add", "1", "1", "--detach"])).stdout.trim();
    worker.signal("SIGTERM");
    await worker.line(/finishing 1 running task/);
    await writeFile(gate, "");
    assert.equal((await held).stdout, '"let go"\n');
    assert.equal(await worker.exited, 0);
    const left = JSON.parse((await folder.run(["queues", "--json"])).stdout);
    assert.deepEqual([left[0].ready, left[0].unacked], [1, 0]);
    await folder.run(["worker", "-A", "demo.js", "--drain", ...json]);
    assert.equal((await folder.run(["result", id])).stdout, "2\n");
  });

  it("end it at once at the second one, and nothing is lost", async () => {
    const worker = await folder.worker("-A", "demo.js", ...json);
    const gate = join(folder.path, "gate-2");
    const held = folder.run(["call", "demo.hold", gate]);
    await worker.line(/holding/);
    worker.signal("SIGINT");
    await worker.line(/finishing 1 running task/);
    // The same signal within a moment is the terminal's, passed on by a program in between.
    await new Promise((resolve) => setTimeout(resolve, 150));
    worker.signal("SIGINT");
    assert.equal(await worker.exited, 130);
    await writeFile(gate, "");
    await folder.run(["worker", "-A", "demo.js", "--drain", ...json]);
    assert.deepEqual(await held, { code: 0, stdout: '"let go"\n', stderr: "" });
  });
});

describe("what a worker can't start with", () => {
  it("is said in one line, with the exit code for it", async () => {
    const folder = await Folder.with({ "demo.js": tasks });
    const cases: [string[], number, RegExp][] = [
      [["-b", "redis://:secret@127.0.0.1:1/0"], 69, /^error: redis:\/\/:\*\*@127\.0\.0\.1:1/],
      [["-b", "nothing"], 2, /^error: "nothing" is not a URL/],
      [["-b", "http://h"], 2, /^error: http:\/\/h: there is no broker "http"/],
      [["-b", "memory:"], 2, /^error: memory: lives within one process/],
      [["--result-backend", "memory:x"], 2, /^error: memory:x lives within one process/],
      [["-n", "%x"], 2, /^error: -n %x: there is no %x/],
      [["-X", "celery"], 2, /^error: no queue is left/],
      [["--workdir", "missing"], 2, /^error: can't change to --workdir missing/],
      [["-A", "missing.ts"], 2, /^error: no task module missing\.ts/],
      [["-b", "sqlite:missing/folder/a.db"], 2, /^error: .*missing\/folder/],
    ];
    for (const [args, code, message] of cases) {
      const ended = await folder.run(["worker", "-A", "demo.js", ...args]);
      assert.equal(ended.code, code, `${args}: ${ended.stderr}`);
      assert.match(ended.stderr, message);
      assert.equal(ended.stderr.trim().split("\n").length, 1, ended.stderr);
      assert.ok(!ended.stderr.includes("secret"));
    }
    const none = await folder.run(["worker"]);
    assert.equal(none.code, 2);
    assert.match(none.stderr, /^error: no task modules/);
    await folder[Symbol.asyncDispose]();
  });
});
