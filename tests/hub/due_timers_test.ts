import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DueTimers } from "../../runtime/hub/due_timers.ts";

function take(due: DueTimers, limit: number): string[] {
  const taken: string[] = [];
  due.take(limit, (number, occurrence, text) => taken.push(`${number}.${occurrence} ${text}`));
  return taken;
}

describe("timers that are due", () => {
  it("are taken in the order in which they were added", () => {
    const due = new DueTimers();
    due.add(2 ** 52, 1, "a");
    due.add(7, 3, "b");
    due.add(1, 1, "c");
    assert.deepEqual(take(due, 2), [`${2 ** 52}.1 a`, "7.3 b"]);
    assert.equal(due.size, 1);
    due.add(8, 1, "d");
    assert.deepEqual(take(due, 10), ["1.1 c", "8.1 d"]);
    assert.deepEqual(take(due, 10), []);
  });

  it("keep their order while they grow, are taken, and shrink again", () => {
    const due = new DueTimers();
    let added = 0, taken = 0;
    const takeSome = (limit: number) =>
      due.take(limit, (number, occurrence, text) => {
        assert.deepEqual([number, occurrence, text], [++taken, taken * 2, String(taken)]);
      });
    for (let turn = 0; turn < 3; turn++) {
      for (let i = 0; i < 80_000; i++) {
        due.add(++added, added * 2, String(added));
        if (i % 3 === 0) takeSome(1);
      }
      assert.equal(due.size, added - taken);
      takeSome(Infinity);
      assert.equal(taken, added);
    }
  });

  it("may be added while others are taken", () => {
    const due = new DueTimers();
    for (let i = 1; i <= 1_024; i++) due.add(i, 1, "");
    const numbers: number[] = [];
    due.take(2, (number) => {
      numbers.push(number);
      for (let i = 0; i < 600; i++) due.add(2_000, 1, "");
    });
    assert.deepEqual(numbers, [1, 2]);
    assert.equal(due.size, 1_022 + 1_200);
    assert.equal(take(due, 1)[0], "3.1 ");
  });
});
