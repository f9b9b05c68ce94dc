import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatIso, parseIso } from "../../runtime/protocol/dates.ts";

describe("dates on the wire", () => {
  it("are written as Python's isoformat in UTC", () => {
    assert.equal(formatIso(Date.UTC(2026, 10, 21, 5, 56, 50, 934)), "2026-11-21T05:56:50.934000+00:00");
    assert.equal(formatIso(0), "1970-01-01T00:00:00.000000+00:00");
    assert.equal(formatIso(7), "1970-01-01T00:00:00.007000+00:00");
    assert.equal(formatIso(-1), "1969-12-31T23:59:59.999000+00:00");
    assert.equal(formatIso(1234.9), "1970-01-01T00:00:01.234000+00:00");
  });

  it("are refused outside of Python's years, and when they are no time at all", () => {
    for (const ms of [NaN, Infinity, 8.64e15, Date.UTC(10000, 0), -62135596800001]) {
      assert.throws(() => formatIso(ms), { name: "RangeError" }, String(ms));
    }
    assert.equal(formatIso(-62135596800000), "0001-01-01T00:00:00.000000+00:00");
  });

  const at = Date.UTC(2026, 10, 21, 5, 56, 50);
  const forms: [string, number][] = [
    ["2026-11-21T05:56:50", at],
    ["2026-11-21T05:56:50Z", at],
    ["2026-11-21 05:56:50z", at],
    ["2026-11-21T05:56:50.934443", at + 934],
    ["2026-11-21T05:56:50,5", at + 500],
    ["2026-11-21T05:56:50.934443+00:00", at + 934],
    ["2026-11-21T07:56:50+02:00", at],
    ["2026-11-21T00:26:50-0530", at],
    ["2026-11-21T05:57:50+00:01:00", at],
    ["2026-11-21T05:56", at - 50_000],
    ["2026-11-21", Date.UTC(2026, 10, 21)],
    ["2028-02-29", Date.UTC(2028, 1, 29)],
    ["0001-01-01T00:00:00", -62135596800000],
  ];
  for (const [text, ms] of forms) {
    it(`are read from ${text}`, () => assert.equal(parseIso(text), ms));
  }

  for (
    const text of [
      "",
      "soon",
      "2026",
      "2026-13-01",
      "2026-02-30",
      "2026-11-21T24:00:00",
      "2026-11-21T05:60",
      "21.11.2026",
      "2026-11-21T05:56:50 CET",
      "1795240610",
    ]
  ) {
    it(`are refused by name: "${text}"`, () => {
      assert.throws(
        () => parseIso(text),
        (error: Error) => error.name === "RangeError" && error.message.includes(`"${text}"`),
      );
    });
  }

  it("come back as they were written", () => {
    for (let ms = -1e12; ms < 4e12; ms += 123_456_789_123) assert.equal(parseIso(formatIso(ms)), ms);
  });
});
