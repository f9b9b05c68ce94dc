/** The two texts of a timer: its id, and what it calls. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  readTimerCall,
  taskOfTimerCall,
  type TimerCall,
  writeTimerCall,
} from "../../runtime/hub/timer_call.ts";
import { durableTimerId, readTimerId, timerId, timerNumber } from "../../runtime/hub/timer_id.ts";

const HUB = "019a6f1e-0000-7000-8000-000000000001";

describe("a timer's id", () => {
  it("says which hub holds it, under which number", () => {
    const number = timerNumber(536_870_911, 16_777_215);
    const id = timerId(HUB, number);
    assert.equal(id, `timer-${HUB}-536870911-16777215`);
    assert.ok(Number.isSafeInteger(number));
    assert.deepEqual(readTimerId(id), { kind: "memory", hub: HUB, number });
  });

  it("says that the broker keeps it, and when it is due", () => {
    const id = durableTimerId(1_770_000_000_000.4, HUB);
    assert.deepEqual(readTimerId(id), { kind: "durable", due: 1_770_000_000_000 });
  });

  it("is no other text", () => {
    for (
      const text of ["", "timer", HUB, `timer-${HUB}`, `timer-${HUB}-1`, `xtimer-${HUB}-1-1`, "timer-x-1-1"]
    ) {
      assert.equal(readTimerId(text), undefined);
    }
  });
});

describe("what a timer calls", () => {
  const full: TimerCall = {
    task: 'callbacks."notify"',
    args: [1, "two", { three: [4n ** 40n, NaN] }],
    kwargs: { to: "Ada" },
    options: { queue: "mails", priority: 3, headers: { a: 1 } },
    parentId: "parent",
    rootId: "root",
  };
  const bare: TimerCall = { task: "a.b", args: [], kwargs: {}, options: {}, parentId: null, rootId: null };

  it("is read as it was written", () => {
    assert.deepEqual(readTimerCall(writeTimerCall(full)), full);
    assert.deepEqual(readTimerCall(writeTimerCall(bare)), bare);
    const own = { ...bare, args: [1], parentId: "same", rootId: "same" };
    assert.deepEqual(readTimerCall(writeTimerCall(own)), own);
  });

  it("is short where it says little, and tells its task without being read", () => {
    assert.equal(writeTimerCall(bare), '["a.b"]');
    assert.equal(writeTimerCall({ ...bare, args: [1], parentId: "p", rootId: "p" }), '["a.b",[1],"p"]');
    assert.equal(taskOfTimerCall(writeTimerCall(full)), 'callbacks."notify"');
  });

  it("names the path of what can't be written", () => {
    assert.throws(() => writeTimerCall({ ...bare, args: [{ run: () => 1 }] }), {
      name: "UnserializableError",
      message: /args/,
    });
  });
});
