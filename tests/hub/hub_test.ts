/** The hub in time that the test turns. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Clock, TimerHandle } from "../../runtime/clock.ts";
import { Hub } from "../../runtime/hub/hub.ts";
import { FakeClock } from "../fake_clock.ts";

function setUp(wall?: number) {
  const clock = new FakeClock(wall);
  const due: string[] = [];
  const hub = new Hub(clock, (_number, occurrence, text, late) => due.push(`${text} ${occurrence} +${late}`));
  let count = 0;
  return {
    clock,
    due,
    hub,
    after: (ms: number, text: string, every = 0) => {
      hub.set({ number: ++count, due: clock.monotonic() + ms, every, isWallTime: false, text });
      return count;
    },
    at: (time: number, text: string) => {
      hub.set({ number: ++count, due: time, every: 0, isWallTime: true, text });
      return count;
    },
    /** What was due since this was last asked. */
    taken: () => due.splice(0),
  };
}

/** A clock that counts what is armed. */
class CountingClock implements Clock {
  readonly inner = new FakeClock();
  now = () => this.inner.now();
  monotonic = () => this.inner.monotonic();
  after = (ms: number, run: () => void): TimerHandle => this.inner.after(ms, run);
  cancel = (handle: TimerHandle) => this.inner.cancel(handle);
}

describe("the timer hub", () => {
  it("hands out what is due, when it is due, in order", async () => {
    const { clock, after, taken, hub } = setUp();
    after(2_000, "second");
    after(1_000, "first");
    after(2_000, "third");
    await clock.advance(999);
    assert.deepEqual(taken(), []);
    await clock.advance(1);
    assert.deepEqual(taken(), ["first 1 +0"]);
    await clock.advance(5_000);
    assert.deepEqual(taken(), ["second 1 +0", "third 1 +0"]);
    assert.equal(hub.size, 0);
    assert.equal(clock.pending, 0);
  });

  it("never hands out what was cancelled, and says whether it was there", async () => {
    const { clock, after, at, taken, hub } = setUp();
    const first = after(1_000, "first");
    const second = at(clock.now() + 1_000, "second");
    after(1_000, "third");
    assert.equal(hub.cancel(first), true);
    assert.equal(hub.cancel(first), false);
    assert.equal(hub.cancel(second), true);
    assert.equal(hub.cancel(1_000), false);
    await clock.advance(2_000);
    assert.deepEqual(taken(), ["third 1 +0"]);
    assert.equal(hub.cancel(3), false, "it was due");
  });

  it("has one timer of its clock armed, however many it holds", () => {
    const clock = new CountingClock();
    const hub = new Hub(clock, () => {});
    for (let number = 1; number <= 1000; number++) {
      const isWallTime = number % 2 === 0;
      const due = (isWallTime ? clock.now() : 0) + 100_000 - number;
      hub.set({ number, due, every: 0, isWallTime, text: "" });
      assert.equal(clock.inner.pending, 1);
    }
    for (let number = 1; number <= 1000; number++) hub.cancel(number);
    assert.equal(hub.size, 0);
    hub.close();
    assert.equal(clock.inner.pending, 0);
  });

  it("takes no notice of a wall clock that is set, where a while was asked for", async () => {
    const { clock, after, taken } = setUp();
    after(10_000, "back");
    clock.jump(-3_600_000);
    await clock.advance(9_999);
    assert.deepEqual(taken(), []);
    await clock.advance(1);
    assert.deepEqual(taken(), ["back 1 +0"]);
    after(10_000, "forward");
    clock.jump(86_400_000);
    await clock.advance(9_999);
    assert.deepEqual(taken(), []);
    await clock.advance(1);
    assert.deepEqual(taken(), ["forward 1 +0"]);
  });

  it("goes by the wall clock as it is set, where a time was asked for", async () => {
    const { clock, at, taken } = setUp();
    const noon = clock.now() + 10_000;
    at(noon, "noon");
    clock.jump(-60_000);
    await clock.advance(69_999);
    assert.deepEqual(taken(), []);
    await clock.advance(1);
    assert.deepEqual(taken(), ["noon 1 +0"]);
    at(clock.now() + 3_600_000, "set forward");
    await clock.advance(500);
    clock.jump(3_600_000);
    await clock.advance(1_000);
    assert.equal(taken().length, 1, "within a second of the jump");
  });

  it("hands out at once what lies in the past", async () => {
    const { clock, at, after, taken } = setUp();
    at(clock.now() - 86_400_000, "yesterday");
    after(0, "now");
    await clock.advance(0);
    assert.deepEqual(taken(), ["now 1 +0", "yesterday 1 +86400000"]);
  });

  it("knows no summer time: a time is one moment, in the hour that is there twice, too", async () => {
    // In Berlin the clocks went from 3 back to 2 on this morning.
    const { clock, at, taken } = setUp(Date.parse("2026-10-25T02:00:00+02:00"));
    at(Date.parse("2026-10-25T02:30:00+02:00"), "summer");
    at(Date.parse("2026-10-25T02:30:00+01:00"), "winter");
    at(Date.parse("2026-10-25T03:30:00+01:00"), "later");
    await clock.advance(1_800_000);
    assert.deepEqual(taken(), ["summer 1 +0"]);
    await clock.advance(3_599_999);
    assert.deepEqual(taken(), []);
    await clock.advance(1);
    assert.deepEqual(taken(), ["winter 1 +0"]);
    await clock.advance(3_600_000);
    assert.deepEqual(taken(), ["later 1 +0"]);
  });

  it("hands out all that a long sleep of the machine has made due, each once", async () => {
    const { clock, after, at, taken } = setUp();
    after(60_000, "a minute");
    at(clock.now() + 120_000, "two minutes");
    after(10 * 3_600_000, "ten hours");
    clock.skip(8 * 3_600_000);
    await clock.advance(0);
    assert.deepEqual(taken(), [
      `a minute 1 +${8 * 3_600_000 - 60_000}`,
      `two minutes 1 +${8 * 3_600_000 - 120_000}`,
    ]);
    await clock.advance(2 * 3_600_000);
    assert.deepEqual(taken(), ["ten hours 1 +0"]);
  });

  it("repeats without drifting, and leaves out what a sleep has made it miss", async () => {
    const { clock, after, taken, hub } = setUp();
    const number = after(1_000, "tick", 1_000);
    await clock.advance(3_500);
    assert.deepEqual(taken(), ["tick 1 +0", "tick 2 +0", "tick 3 +0"]);
    clock.skip(10_100);
    await clock.advance(0);
    assert.deepEqual(taken(), ["tick 4 +9600"]);
    await clock.advance(400);
    assert.deepEqual(taken(), ["tick 5 +0"], "at a whole second again");
    assert.equal(hub.cancel(number), true);
    await clock.advance(10_000);
    assert.deepEqual(taken(), []);
    assert.equal(hub.size, 0);
  });

  it("waits for years", async () => {
    const { clock, after, at, taken } = setUp();
    after(50 * 86_400_000, "fifty days");
    at(clock.now() + 40 * 86_400_000, "forty");
    // By steps of days a day of seconds would take too long: what is armed is looked at, not waited for.
    for (let day = 0; day < 39; day++) clock.skip(86_400_000);
    await clock.advance(1_000);
    assert.deepEqual(taken(), []);
    clock.skip(86_400_000);
    await clock.advance(0);
    assert.deepEqual(taken(), ["forty 1 +1000"]);
  });

  it("lets the loop go on between many that are due at once", async () => {
    const { clock, after, due } = setUp();
    for (let i = 0; i < 5_000; i++) after(1_000, "x");
    clock.skip(1_000);
    const seen: number[] = [];
    const look = () => {
      seen.push(due.length);
      if (due.length < 5_000) clock.after(0, look);
    };
    clock.after(0, look);
    await clock.advance(0);
    assert.equal(due.length, 5_000);
    assert.ok(seen.length > 1 && seen[0] > 0 && seen[0] < 5_000, String(seen));
  });

  it("hands out what is due when it is told to, in place of what it has armed", async () => {
    const { clock, after, taken, hub } = setUp();
    after(1_000, "first");
    after(2_000, "second");
    clock.skip(999);
    hub.handOutDue();
    assert.deepEqual(taken(), []);
    clock.skip(1);
    hub.handOutDue();
    assert.deepEqual(taken(), ["first 1 +0"]);
    assert.equal(clock.pending, 1);
    await clock.advance(1_000);
    assert.deepEqual(taken(), ["second 1 +0"]);
    clock.skip(60_000);
    hub.handOutDue();
    assert.deepEqual(taken(), []);
    assert.equal(clock.pending, 0);
  });

  it("lists the next ones by the time of the day, whichever clock they go by", () => {
    const { clock, after, at, hub } = setUp();
    after(30_000, "c");
    at(clock.now() + 20_000, "b");
    const tick = after(10_000, "a", 5_000);
    assert.deepEqual(hub.first(2), [
      { number: tick, due: clock.now() + 10_000, every: 5_000, text: "a" },
      { number: 2, due: clock.now() + 20_000, every: 0, text: "b" },
    ]);
    assert.equal(hub.first(10).length, 3);
  });

  it("hands out nothing once it is closed, and still knows what it holds", async () => {
    const { clock, after, taken, hub } = setUp();
    after(1_000, "lost");
    hub.close();
    after(2_000, "late");
    await clock.advance(10_000);
    assert.deepEqual(taken(), []);
    assert.deepEqual(hub.first(5).map(({ text }) => text), ["lost", "late"]);
  });
});
