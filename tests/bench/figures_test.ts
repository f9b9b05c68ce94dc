/** What the bench makes of its rounds, and the page it writes. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { rate, share, short, times } from "../../bench/figures.ts";
import { atLeast, atMost, isMet, type Outcome } from "../../bench/part.ts";
import { takeTurns } from "../../bench/rounds.ts";
import { median, percentile, ratio } from "../../bench/statistics.ts";
import { page, ratioLine, type Result } from "../../bench/table.ts";

describe("figures of the bench", () => {
  it("are medians, percentiles, and ratios within each round", () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 2, 3]), 2.5);
    assert.equal(percentile([0, 10], 0.99), 9.9);
    assert.equal(ratio([10, 20, 90], [1, 2, 3]), 10);
  });

  it("are written with the digits that count", () => {
    assert.deepEqual([rate(81_234), rate(512), rate(0.5)], ["81,200", "512", "1"]);
    assert.deepEqual([short(0.424), short(42.42), short(424.2)], ["0.42", "42.4", "424"]);
    assert.deepEqual([times(38.4), times(2.34), share(0.838)], ["38x", "2.3x", "84%"]);
  });

  it("come from turns, a round after the other, two at least", async () => {
    const order: string[] = [];
    const turn = (name: string) => () => Promise.resolve(order.push(name));
    assert.deepEqual(await takeTurns(5, 0, [turn("a"), turn("b")]), [[1, 3], [2, 4]]);
    assert.deepEqual(order, ["a", "b", "a", "b"]);
    assert.deepEqual(await takeTurns(3, 1_000, [turn("c")]), [[5, 6, 7]]);
  });
});

describe("the page of the bench", () => {
  const outcome: Outcome = {
    columns: ["", "tasks/s"],
    rows: [["one", "1,000"], ["other", "500"]],
    targets: [atLeast("one, to other", 2, 1.5), atMost("other, to one", 0.5, 0.4, "%")],
    ratios: "one 2.0x other",
    notes: ["Read with care."],
    rounds: [],
  };
  const result = { name: "part", title: "A part", at: "2026-01-02T03:04:05Z", seconds: 6, commit: "abc" };
  const results: Result[] = [{ ...result, outcome }, {
    ...result,
    name: "lost",
    error: "it took longer than 1 s",
  }];

  it("says for each target whether it is met", () => {
    assert.deepEqual(outcome.targets.map(isMet), [true, false]);
    const text = page(results, { CPU: "one" }, { Deno: "2" });
    assert.match(text, /## Targets: 1 of 2 met/);
    assert.match(text, /\| one, to other \| 2\.00 x \| at least 1\.50 x \| met \|/);
    assert.match(text, /\| other, to one \| 50 % \| at most 40 % \| \*\*missed\*\* \|/);
  });

  it("has each part with the command that makes it again, a failed one with its reason", () => {
    const text = page(results, {}, {});
    assert.match(
      text,
      /\| other \| 500 \|\n\nRead with care\.\n\n`make bench ONLY=part`, 2026-01-02 03:04 UTC, 6 s\./,
    );
    assert.match(text, /It failed: it took longer than 1 s/);
    assert.equal(ratioLine(results), "one 2.0x other; lost failed");
  });
});
