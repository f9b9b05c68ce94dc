/** Schedules of modules, files and settings become entries, or say what is wrong with them. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Beat } from "../../runtime/beat/beat.ts";
import { readEntries } from "../../runtime/beat/entries.ts";
import { exportedSchedules } from "../../runtime/beat/exported_schedules.ts";
import { resolveSettings } from "../../runtime/config/resolve.ts";
import type { Schedule } from "../../runtime/config/schedule.ts";
import { findModules } from "../../runtime/isolate/load_modules.ts";
import { crontab, defineSchedule, every } from "../../mod.ts";

const settings = resolveSettings({ from: "the test", settings: {} });
const library = fileURLToPath(new URL("../../mod.ts", import.meta.url));
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "celeriac-entries-"));
});
after(() => rm(folder, { recursive: true }));

/** The schedules of modules with these texts. */
async function exported(modules: Record<string, string>) {
  for (const [name, text] of Object.entries(modules)) await writeFile(join(folder, name), text);
  const files = await findModules(Object.keys(modules), { cwd: folder });
  return await exportedSchedules(files, settings);
}

describe("a module's schedule", () => {
  it("names the tasks that it gives as functions, its own and those of others", async () => {
    const found = await exported({
      "other.ts": `export function build() {}`,
      "plans.ts": `
        import { crontab, every, task } from "${library}";
        import { build } from "./other.ts";
        export function plain(n: number) {}
        export const named = task({ name: "shop.mail", queue: "mail", priority: 3 }, () => {});
        export const schedule = {
          plain: { task: plain, schedule: every(30), args: [1] },
          named: { task: named, schedule: crontab({ minute: "*/5" }), options: { expires: 60 } },
          other: { task: build, schedule: 60 },
          text: { task: "python.task", schedule: { every: { hours: 1 } }, catchUp: "none" },
        };`,
    });
    assert.deepEqual(found.map(({ name, task }) => [name, task]), [
      ["plain", "plans.plain"],
      ["named", "shop.mail"],
      ["other", "other.build"],
      ["text", "python.task"],
    ]);
    const entries = readEntries(found, [], settings);
    assert.deepEqual(entries.map(({ queue, timetable, catchUp }) => [queue, timetable.text, catchUp]), [
      ["celery", "every 30 seconds", "one"],
      ["mail", "*/5 * * * * (UTC)", "one"],
      ["celery", "every 1 minute", "one"],
      ["celery", "every 1 hour", "none"],
    ]);
    assert.equal(entries[1].message(0, 0).priority, 3);
  });

  it("is no task, and a module may have nothing else", async () => {
    const found = await exported({
      "only.ts": `export const schedule = { a: { task: "x.y", schedule: 60 } };`,
    });
    assert.deepEqual(found.map(({ name, from }) => [name, from]), [["a", "only.ts"]]);
  });

  it("that is a function is a task like any other", async () => {
    assert.deepEqual(await exported({ "tasks_alone.ts": `export function schedule() {}` }), []);
  });

  it("says which entry can't be used", async () => {
    const wrong: [string, string, RegExp][] = [
      [
        "hidden.ts",
        `function hidden() {} export const schedule = { a: { task: hidden, schedule: 60 } };`,
        /hidden\.ts: the schedule entry "a" calls a function that no loaded module exports/,
      ],
      [
        "none.ts",
        `export const schedule = { a: { schedule: 60 } };`,
        /none\.ts: the schedule entry "a" needs a task/,
      ],
      ["odd.ts", `export const schedule = { a: 5 };`, /odd\.ts: the schedule entry "a" is no object/],
      [
        "lazy.ts",
        `export const schedule = { a: { task: "x", schedule: 60, args: [() => 1] } };`,
        /lazy\.ts: the schedule entry "a" has a function in it/,
      ],
      [
        "throws.ts",
        `export const schedule = {}; throw new Error("not now");`,
        /throws\.ts does not load: [\s\S]*not now/,
      ],
    ];
    for (const [name, text, message] of wrong) {
      await assert.rejects(exported({ [name]: text }), { name: "TaskModuleError", message }, name);
    }
  });
});

describe("a schedule", () => {
  const read = (schedule: unknown) =>
    readEntries([], [{ from: "plan.json", schedule: schedule as Schedule }], settings);

  it("says what is wrong with it, and where", () => {
    const wrong: [unknown, RegExp][] = [
      [[], /plan\.json: the schedule is no object of entries/],
      [{ a: null }, /plan\.json: the schedule entry "a": it is no object with task and schedule/],
      [{ a: { task: "x", schedule: 60, argz: [] } }, /"a": there is no argz; did you mean args\?/],
      [
        { a: { task: "x", schedule: 60, options: { que: "q" } } },
        /"a": there is no options\.que; did you mean options\.queue\?/,
      ],
      [
        { a: { task: "x", schedule: { cron: "* * * * *" } } },
        /"a": schedule must be crontab\(\.\.\.\), every/,
      ],
      [{ a: { task: "x", schedule: { every: 30, timezone: "UTC" } } }, /"a": there is no schedule\.timezone/],
      [{ a: { task: "x" } }, /"a": schedule must be/],
      [
        { a: { task: "x", schedule: { crontab: "61 * * * *" } } },
        /"a": the crontab "61 \* \* \* \*" has the minute "61"/,
      ],
      [
        { a: { task: "x", schedule: { crontab: "* * * * *", timezone: "Mars" } } },
        /"a": there is no time zone "Mars"/,
      ],
      [{ a: { task: "x", schedule: 0 } }, /"a": every 0 is no time/],
      [{ a: { task: "x", schedule: 60, args: "no" } }, /"a": args is no list/],
      [{ a: { task: "x", schedule: 60, catchUp: "all" } }, /"a": catchUp is neither "one" nor "none"/],
      [{ a: { task: "x", schedule: 60, options: { priority: 12 } } }, /"a": priority is 12/],
      [
        { a: { task: "x", schedule: 60, options: { expires: "soon" } } },
        /"a": options\.expires is "soon", but must/,
      ],
      [
        { a: { task: "x", schedule: 60, options: { headers: [] } } },
        /"a": options\.headers is \[\], but must be an/,
      ],
      [
        { a: { task: "x", schedule: 60, options: { timeLimit: -1 } } },
        /"a": options\.timeLimit is -1, but must be/,
      ],
      [
        { a: { task: "x", schedule: 60, options: { queue: 5 } } },
        /"a": options\.queue is 5, but must be a text/,
      ],
      [
        { a: { task: "x", schedule: 60, options: { countdown: 1e300 } } },
        /"a": 1e\+303 ms is outside the years/,
      ],
      [{ a: { task: "x", schedule: 60, relative: "yes" } }, /"a": relative is neither true nor false/],
      [{ a: { task: "x", schedule: 60, args: [Symbol("x")] } }, /"a": .*args\[0\]/],
      [{ a: { task: () => {}, schedule: 60 } }, /"a": task must be the name of a task here/],
    ];
    for (const [schedule, message] of wrong) {
      assert.throws(() => read(schedule), { name: "ScheduleError", message });
    }
    const twice = [{ from: "a.json", schedule: { x: { task: "t", schedule: 1 } } }];
    assert.throws(
      () => readEntries([], [...twice, { ...twice[0], from: "b.json" }], settings),
      /two schedule entries are called "x", one in a\.json and one in b\.json/,
    );
  });

  it("is checked by the compiler: arguments must be those of the task", () => {
    const add = (x: number, y: number) => x + y;
    const schedule = defineSchedule({
      good: { task: add, args: [1, 2], schedule: every(60) },
      // @ts-expect-error: a text is no number.
      bad: { task: add, args: ["1", 2], schedule: crontab() },
      named: { task: "python.task", args: ["anything"], schedule: 60 },
    });
    assert.deepEqual(Object.keys(schedule satisfies Schedule), ["good", "bad", "named"]);
  });

  it("of the settings needs no module", async () => {
    const beat = new Beat({
      settings: resolveSettings({
        from: "the test",
        settings: {
          brokerUrl: "memory:entries",
          timezone: "Europe/Berlin",
          beatSchedule: { a: { task: "x", schedule: { crontab: "0 9 * * *" } } },
        },
      }),
    });
    await beat.start();
    const [{ name, task, schedule, timezone, from }] = beat.entries;
    assert.deepEqual({ name, task, schedule, timezone, from }, {
      name: "a",
      task: "x",
      schedule: "0 9 * * * (Europe/Berlin)",
      timezone: "Europe/Berlin",
      from: "the settings",
    });
    await beat[Symbol.asyncDispose]();
  });
});

describe("the settings of a scheduler", () => {
  it("are checked", () => {
    const refused = (given: Record<string, unknown>, message: RegExp) =>
      assert.throws(() => resolveSettings({ from: "x", settings: given }), {
        name: "SettingsError",
        message,
      });
    refused({ timezone: "Mars" }, /timezone is "Mars", but must be the name of a time zone/);
    refused({ beatCatchUp: "all" }, /beatCatchUp is "all", but must be "one" or "none"/);
    refused({ beatLease: 0 }, /beatLease is 0, but must be a number of seconds above 0/);
    refused({ beatSchedule: [] }, /beatSchedule is \[\], but must be an object of entries/);
    refused({ beat_schedule: {} }, /did you mean beatSchedule\?/);
  });
});
