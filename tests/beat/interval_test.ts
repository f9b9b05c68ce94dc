/** Intervals as timetables, what a look at an entry finds, and the ids of what is sent. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { every, timetableOfInterval } from "../../runtime/beat/interval.ts";
import { lookAt, occurrenceId } from "../../runtime/beat/occurrence.ts";

const MINUTE = 60_000;

describe("every()", () => {
  it("is data", () => {
    assert.deepEqual(every(30), { every: 30 });
    assert.deepEqual(every({ hours: 1, minutes: 30 }), { every: { hours: 1, minutes: 30 } });
  });

  it("refuses what is no length of time", () => {
    for (const wrong of [0, -1, 0.05, NaN, Infinity, {}, { minutes: 0 }, { weeks: 1 } as object]) {
      assert.throws(() => every(wrong), {
        name: "RangeError",
        message: /is no time: write seconds, 0\.1 or more/,
      });
    }
  });

  it("has times at equal distances from the first on, however many are missed", () => {
    const timetable = timetableOfInterval({ minutes: 1, seconds: 30 }, false);
    assert.equal(timetable.text, "every 1 minute 30 seconds");
    assert.equal(timetable.first(12_345), 12_345);
    assert.equal(timetable.next(1_000), 91_000);
    assert.equal(timetable.latest(1_000, 90_999), undefined);
    assert.equal(timetable.latest(1_000, 91_000), 91_000);
    assert.equal(timetable.latest(1_000, 1_000 + 10 * 90_000 + 5), 901_000);
    assert.equal(timetableOfInterval(0.5, false).text, "every 0.5 seconds");
    assert.equal(timetableOfInterval(86_400 + 7_200, false).text, "every 1 day 2 hours");
  });

  it("may begin at a whole unit of time", () => {
    const at = Date.UTC(2026, 0, 1, 10, 20, 30, 400);
    const first = (time: Parameters<typeof every>[0]) =>
      new Date(timetableOfInterval(time, true).first(at)).toISOString().slice(0, 19);
    assert.equal(first(10), "2026-01-01T10:20:30");
    assert.equal(first(90), "2026-01-01T10:20:00");
    assert.equal(first({ hours: 2 }), "2026-01-01T10:00:00");
    assert.equal(first({ days: 1 }), "2026-01-01T00:00:00");
  });
});

describe("a look at an entry", () => {
  const timetable = timetableOfInterval(60, false);
  const look = (last: number, now: number, catchUp: "one" | "none" = "one") =>
    lookAt(timetable, last, now, { catchUp, late: 20_000 });

  it("finds it due, or when it will be", () => {
    assert.deepEqual(look(0, MINUTE - 1), { kind: "wait", next: MINUTE });
    assert.deepEqual(look(0, MINUTE), { kind: "due", at: MINUTE });
  });

  it("finds the latest of many missed times, or none that is too late", () => {
    assert.deepEqual(look(0, 10.5 * MINUTE), { kind: "due", at: 10 * MINUTE });
    assert.deepEqual(look(0, 10.5 * MINUTE, "none"), { kind: "missed", at: 10 * MINUTE });
    assert.deepEqual(look(0, 10 * MINUTE + 20_000, "none"), { kind: "due", at: 10 * MINUTE });
  });

  it("finds that the clock was set back", () => {
    assert.deepEqual(look(10 * MINUTE, 9 * MINUTE), { kind: "wait", next: 11 * MINUTE });
    assert.deepEqual(look(10 * MINUTE, 9 * MINUTE - 1), { kind: "anew", first: 9 * MINUTE - 1 });
  });
});

describe("the id of what is sent", () => {
  it("is a UUID that depends on entry and time alone, and begins with the time", () => {
    const at = Date.UTC(2026, 0, 1);
    assert.equal(occurrenceId("a:b", at), occurrenceId("a:b", at));
    assert.match(occurrenceId("a:b", at), /^019b76da-a800-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const others = [occurrenceId("a:c", at), occurrenceId("a:b", at + 1), occurrenceId("a:b", at)];
    assert.equal(new Set(others).size, 3);
    assert.ok(occurrenceId("x", at) < occurrenceId("a", at + 1));
  });
});
