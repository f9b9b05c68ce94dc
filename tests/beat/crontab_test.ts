/** Crontabs: Celery's fields, and the times that they are in zones whose clocks are put forward and back. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { crontab } from "../../runtime/beat/crontab.ts";
import { parseCrontab } from "../../runtime/beat/crontab_fields.ts";
import { timetableOfCrontab } from "../../runtime/beat/crontab_timetable.ts";
import type { CrontabOptions } from "../../mod.ts";

/** The next times of a crontab, in UTC, without their seconds. */
function times(fields: CrontabOptions | string, from: string, count: number): string[] {
  const timetable = timetableOfCrontab(crontab(fields), "UTC");
  const found: string[] = [];
  for (let at = Date.parse(from); found.length < count;) {
    at = timetable.next(at);
    found.push(new Date(at).toISOString().replace(":00.000Z", ""));
  }
  return found;
}

describe("the fields of a crontab", () => {
  const dayOfWeek = (spec: string) => parseCrontab(`* * * * ${spec}`).dayOfWeek;
  const hour = (spec: string) => parseCrontab(`* ${spec} * * *`).hour;

  it("are numbers, names, lists, ranges and steps", () => {
    assert.deepEqual(hour("0"), [0]);
    assert.deepEqual(hour("8-18/4,23,8"), [8, 12, 16, 23]);
    assert.deepEqual(hour("*/7"), [0, 7, 14, 21]);
    assert.deepEqual(dayOfWeek("mon-fri"), [1, 2, 3, 4, 5]);
    assert.deepEqual(dayOfWeek("Sunday,TUE"), [0, 2]);
    assert.deepEqual(parseCrontab("* * 1,15 jan,jul-sep *").monthOfYear, [1, 7, 8, 9]);
    // Steps begin at the first day, as Celery's do.
    assert.deepEqual(parseCrontab("* * */10 */6 *").dayOfMonth, [1, 11, 21, 31]);
    assert.deepEqual(parseCrontab("* * */10 */6 *").monthOfYear, [1, 7]);
  });

  it("go on at their beginning where they end before they begin", () => {
    assert.deepEqual(hour("22-2"), [0, 1, 2, 22, 23]);
    assert.deepEqual(hour("22-3/2"), [0, 2, 22]);
    assert.deepEqual(dayOfWeek("fri-mon"), [0, 1, 5, 6]);
    assert.deepEqual(parseCrontab("* * * nov-feb *").monthOfYear, [1, 2, 11, 12]);
  });

  it("take 0 and 7 for Sunday", () => {
    assert.deepEqual(dayOfWeek("0"), [0]);
    assert.deepEqual(dayOfWeek("7"), [0]);
    assert.deepEqual(dayOfWeek("5-7"), [0, 5, 6]);
    assert.deepEqual(dayOfWeek("7-2"), [0, 1, 2]);
    assert.deepEqual(dayOfWeek("0-7"), [0, 1, 2, 3, 4, 5, 6]);
    assert.deepEqual(dayOfWeek("1-7/3"), [0, 1, 4]);
  });

  it("say what is wrong with them", () => {
    const wrong: [string, RegExp][] = [
      ["* * * *", /has 4 fields, but needs 5: minute, hour, day of the month, month, day of the week/],
      ["60 * * * *", /the minute "60": 60 is not from 0 to 59/],
      ["* 24 * * *", /the hour "24": 24 is not from 0 to 23/],
      ["* * 0 * *", /the day of the month "0": 0 is not from 1 to 31/],
      ["* * * * 8", /the day of the week "8": 8 is not from 0 to 6/],
      ["* * * foo *", /the month "foo": there is no foo/],
      ["x * * * *", /the minute "x": x is no number/],
      ["5/10 * * * *", /a step needs \* or a range before it, as in \*\/10 or 5-59\/10/],
      ["*/0 * * * *", /a step must be 1 or more/],
      ["1,, * * * *", /write numbers, ranges \(1-5\), steps/],
      ["*-5 * * * *", /write numbers, ranges/],
    ];
    for (const [text, message] of wrong) {
      assert.throws(() => crontab(text), { name: "RangeError", message }, text);
    }
    assert.throws(() => crontab("0 0 31 2 *"), /never comes: there is no such day in such a month/);
    assert.throws(() => crontab({ timezone: "Europe/Berln" }), /there is no time zone "Europe\/Berln"/);
    assert.throws(() => crontab({ minute: "" }), /a field of a crontab is empty/);
  });

  it("are written as data that JSON has, too", () => {
    assert.deepEqual(crontab(), { crontab: "* * * * *" });
    assert.deepEqual(
      crontab({ minute: [0, 30], hour: 7, dayOfWeek: "mon, fri", timezone: "Europe/Berlin" }),
      {
        crontab: "0,30 7 * * mon,fri",
        timezone: "Europe/Berlin",
      },
    );
  });
});

describe("a crontab", () => {
  it("is due at whole minutes", () => {
    assert.deepEqual(times("*/20 * * * *", "2026-01-01T10:20:00Z", 3), [
      "2026-01-01T10:40",
      "2026-01-01T11:00",
      "2026-01-01T11:20",
    ]);
    assert.deepEqual(times({ minute: 0, hour: 9 }, "2026-01-01T08:59:59.999Z", 1), ["2026-01-01T09:00"]);
  });

  it("wants both a day of the month and a day of the week where both are given, unlike cron", () => {
    assert.deepEqual(times("0 0 13 * fri", "2026-01-01T00:00:00Z", 3), [
      "2026-02-13T00:00",
      "2026-03-13T00:00",
      "2026-11-13T00:00",
    ]);
  });

  it("comes on the 29th of February", () => {
    assert.deepEqual(times("0 0 29 2 *", "2026-01-01T00:00:00Z", 2), [
      "2028-02-29T00:00",
      "2032-02-29T00:00",
    ]);
  });

  it("goes by the clock of its zone, else of the default one", () => {
    const timezone = "America/New_York";
    assert.deepEqual(times({ minute: 0, hour: 9, timezone }, "2026-01-01T00:00:00Z", 1), [
      "2026-01-01T14:00",
    ]);
    const timetable = timetableOfCrontab({ crontab: "0 9 * * *" }, "Asia/Kathmandu");
    assert.equal(new Date(timetable.next(0)).toISOString(), "1970-01-01T03:30:00.000Z");
    assert.equal(timetable.text, "0 9 * * * (Asia/Kathmandu)");
  });

  const timezone = "Europe/Berlin";

  it("runs once when the clocks have been put forward over its time", () => {
    // On 2026-03-29 02:00 becomes 03:00, which is 01:00 UTC.
    assert.deepEqual(times({ minute: 30, hour: 2, timezone }, "2026-03-28T00:00:00Z", 3), [
      "2026-03-28T01:30",
      "2026-03-29T01:00",
      "2026-03-30T00:30",
    ]);
    // What is due then anyway is not due twice, nor is every time in that hour.
    assert.deepEqual(times({ minute: 0, hour: "2,3", timezone }, "2026-03-29T00:00:00Z", 2), [
      "2026-03-29T01:00",
      "2026-03-30T00:00",
    ]);
    assert.deepEqual(times({ minute: "*/15", hour: 2, timezone }, "2026-03-29T00:00:00Z", 2), [
      "2026-03-29T01:00",
      "2026-03-30T00:00",
    ]);
  });

  it("runs the first time only when the clocks are put back and its time comes twice", () => {
    // On 2026-10-25 03:00 becomes 02:00, which is 01:00 UTC.
    assert.deepEqual(times({ minute: 30, hour: 2, timezone }, "2026-10-24T12:00:00Z", 2), [
      "2026-10-25T00:30",
      "2026-10-26T01:30",
    ]);
  });

  it("that runs in every hour goes by the hours that pass", () => {
    assert.deepEqual(times({ minute: 30, timezone }, "2026-03-29T00:00:00Z", 3), [
      "2026-03-29T00:30",
      "2026-03-29T01:30",
      "2026-03-29T02:30",
    ]);
    assert.deepEqual(times({ minute: 30, hour: "0-23", timezone }, "2026-10-24T23:45:00Z", 3), [
      "2026-10-25T00:30",
      "2026-10-25T01:30",
      "2026-10-25T02:30",
    ]);
  });

  it("has the same times whether one looks ahead or back, wherever clocks are put forward and back", () => {
    const days = [
      ["Europe/Berlin", "2026-03-28"],
      ["Europe/Berlin", "2026-10-24"],
      ["America/New_York", "2026-03-07"],
      ["America/New_York", "2026-10-31"],
      // By half an hour.
      ["Australia/Lord_Howe", "2026-04-04"],
      ["Australia/Lord_Howe", "2026-10-03"],
      // At midnight.
      ["America/Sao_Paulo", "2018-11-03"],
      ["America/Sao_Paulo", "2018-02-17"],
    ];
    const specs = [
      "30 2 * * *",
      "0 2,3 * * *",
      "*/30 * * * *",
      "15 1-3 * * *",
      "45 23,0 * * *",
      "*/20 0-2 * * *",
    ];
    for (const [zone, day] of days) {
      for (const spec of specs) {
        const timetable = timetableOfCrontab({ crontab: spec, timezone: zone }, "UTC");
        const start = Date.parse(`${day}T00:00:00Z`), end = start + 2 * 86_400_000;
        const all: number[] = [];
        for (let at = timetable.next(start); at < end; at = timetable.next(at)) all.push(at);
        assert.ok(all.length > 0 && all.every((at, i) => i === 0 || at > all[i - 1]), `${zone} ${spec}`);
        // Minutes apart, off the whole ones, so that each side of each time is seen.
        for (let now = start; now < end; now += 37 * 60_000 + 7) {
          const expected = all.filter((at) => at <= now).at(-1);
          assert.equal(
            timetable.latest(start, now),
            expected,
            `${zone} ${spec} ${new Date(now).toISOString()}`,
          );
        }
        assert.equal(timetable.latest(start, all[0]), all[0]);
        assert.equal(timetable.latest(all[0], all[0]), undefined);
      }
    }
  });
});
