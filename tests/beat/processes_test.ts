/** `celeriac beat` and `worker -B` in processes of their own, on a real clock, killed and stopped. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import process from "node:process";
import { after, describe, it } from "node:test";
import { Folder } from "../cli/folder.ts";
import { eventually, within } from "../conformance/patience.ts";
import { commandLine, follow, type TestWorker } from "../servers/worker.ts";

const folders: Folder[] = [];
const started: TestWorker[] = [];
after(async () => {
  await Promise.all(started.map((one) => one.kill()));
  await Promise.all(folders.map((folder) => folder[Symbol.asyncDispose]()));
});

const TASKS = `
  import { appendFileSync } from "node:fs";
  export function mark(file: string) { appendFileSync(file, "x"); }
  export const schedule = {
    "now and then": { task: mark, schedule: { every: 0.2 }, args: ["marks"] },
  };`;

async function folderWith(files: Record<string, string>): Promise<Folder> {
  const folder = await Folder.with(files);
  folders.push(folder);
  return folder;
}

async function startBeat(folder: Folder, ...args: string[]): Promise<TestWorker> {
  const [program, rest] = commandLine("beat", "-b", "sqlite:beat.db", ...args);
  const child = spawn(program, rest, {
    cwd: folder.path,
    env: { ...process.env, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const beat = follow(child);
  started.push(beat);
  await within(30_000, beat.line(/beat ready/), "the scheduler");
  return beat;
}

/** The times for which a scheduler says that it has sent, oldest first. */
function dueTimes(...beats: readonly TestWorker[]): string[] {
  return beats.flatMap(({ lines }) => lines).filter((line) => line.includes("Sending due task"))
    .map((line) => JSON.parse(line).due).sort();
}

describe("celeriac beat", () => {
  it("goes on in another process when one is killed by -9, and at once when one is stopped", async () => {
    const folder = await folderWith({ "tasks.ts": TASKS });
    const lease = ["--lease", "0.6", "-A", "tasks.ts"];
    const first = await startBeat(folder, ...lease);
    const line = JSON.parse(await within(10_000, first.line(/Sending due task/), "the first task"));
    assert.equal(line.message, "Scheduler: Sending due task now and then (tasks.mark)");
    assert.equal(line.logger, "celeriac.beat");
    const second = await startBeat(folder, ...lease);
    await within(10_000, second.line(/stands by/), "the second one's place behind the first");
    assert.deepEqual(dueTimes(second), []);
    await first.kill();
    await within(10_000, second.line(/Sending due task/), "the first task of the second");
    const third = await startBeat(folder, ...lease);
    await within(10_000, third.line(/stands by/), "the third one's place behind the second");
    assert.equal(await within(5_000, second.stop(), "its end"), 0);
    await within(10_000, third.line(/Sending due task/), "the first task of the third");
    const due = dueTimes(first, second, third);
    assert.deepEqual([...new Set(due)], due, "a time was sent twice");
    assert.equal(await third.stop(), 0);
  });

  it("runs in a worker that has -B", async () => {
    const folder = await folderWith({
      "tasks.ts": TASKS,
      "more.json": '{"more": {"task": "tasks.mark", "schedule": 0.2, "args": ["more"]}}',
    });
    const { readFile } = await import("node:fs/promises");
    const worker = await folder.worker("-A", "tasks.ts", "-B", "-s", "more.json", "-c", "1");
    for (const name of ["marks", "more"]) {
      await eventually(async () => {
        assert.ok((await readFile(`${folder.path}/${name}`, "utf8")).length >= 2);
      });
    }
    assert.equal(await worker.stop(), 0);
  });

  it("takes up a changed schedule with --reload", async () => {
    const schedule = (name: string) => `{"${name}": {"task": "x.y", "schedule": 0.2}}`;
    const folder = await folderWith({ "plan.json": schedule("old") });
    const beat = await startBeat(folder, "-s", "plan.json", "--reload");
    await within(10_000, beat.line(/Sending due task old/), "the old entry");
    const { writeFile } = await import("node:fs/promises");
    await writeFile(`${folder.path}/plan.json`, schedule("new"));
    await within(10_000, beat.line(/Sending due task new/), "the new entry");
    assert.equal(await beat.stop(), 0);
  });

  it("lists the next times, each by its zone's clock", async () => {
    const folder = await folderWith({
      "tasks.ts": `
        export function report() {}
        export const schedule = {
          nightly: { task: report, schedule: { crontab: "0 3 * * *", timezone: "Europe/Berlin" } },
        };`,
      "more.json": '{"often": {"task": "python.task", "schedule": {"every": {"minutes": 5}}}}',
    });
    const flags = ["beat", "-A", "tasks.ts", "-s", "more.json", "--list"];
    const [text, json] = await Promise.all([folder.run(flags), folder.run([...flags, "--json"])]);
    assert.equal(text.code, 0, text.stderr);
    assert.match(text.stdout, /^NAME +TASK +SCHEDULE +LAST +NEXT\n/);
    assert.match(
      text.stdout,
      /\nnightly +tasks\.report +0 3 \* \* \* \(Europe\/Berlin\) +- +\d{4}-\d\d-\d\d 03:00:00 Europe\/Berlin\n/,
    );
    assert.match(
      text.stdout,
      /\noften +python\.task +every 5 minutes +- +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\n/,
    );
    const [nightly, often] = JSON.parse(json.stdout);
    const { name, task, timezone, from } = nightly;
    assert.deepEqual({ name, task, timezone, from }, {
      name: "nightly",
      task: "tasks.report",
      timezone: "Europe/Berlin",
      from: "tasks.ts",
    });
    assert.match(nightly.next, /T0[12]:00:00\.000Z$/);
    assert.equal(often.from, "more.json");
  });

  it("says what is missing or wrong, and exits with 2", async () => {
    const folder = await folderWith({
      "plan.json": '{"a": {"task": "x", "schedule": {"crontab": "* * * *"}}}',
    });
    const cases: [string[], RegExp][] = [
      [["beat"], /the schedule is empty: export one from a task module/],
      [
        ["beat", "-s", "celerybeat-schedule"],
        /it names a schedule, a \.json or \.ts file; last times are kept by the broker/,
      ],
      [
        ["beat", "-s", "plan.json"],
        /plan\.json: the schedule entry "a": the crontab "\* \* \* \*" has 4 fields/,
      ],
      [["beat", "-s", "missing.json"], /missing\.json can't be read/],
      [["worker", "-A", "x.ts", "-s", "plan.json"], /-s names a schedule for -B/],
    ];
    const runs = await Promise.all(cases.map(([line]) => folder.run(line)));
    runs.forEach(({ code, stderr }, i) => {
      assert.equal(code, 2, stderr);
      assert.match(stderr, cases[i][1]);
    });
  });
});
