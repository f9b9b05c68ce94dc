/** How much a lane takes ahead of time, and what it gives back, with an isolate that does as the test says. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ClaimBoard, type Job } from "../../runtime/isolate/claim_board.ts";
import type { Isolate } from "../../runtime/isolate/isolate.ts";
import type { Delivery } from "../../runtime/transport/transport.ts";
import { Lane } from "../../runtime/worker/lane.ts";
import { FakeClock } from "../fake_clock.ts";

/** An isolate whose jobs start and end by hand. */
class HandIsolate implements Isolate {
  readonly board = new ClaimBoard();
  readonly jobs: Job[] = [];
  start = () => Promise.resolve([]);
  terminate = () => {};
  setLimits = () => {};
  asked = 0;
  run(jobs: readonly (number | string)[]): void {
    for (let i = 0; i < jobs.length; i += 2) this.jobs.push(jobs[i] as number);
  }
  ask(): void {
    this.asked++;
  }
}

function setUp(slots = 1) {
  const clock = new FakeClock(), isolate = new HandIsolate();
  const lane = new Lane(isolate, { clock, slots });
  let tag = 0;
  const deliveries = (count: number): Delivery[] =>
    Array.from({ length: count }, () => ({ tag: ++tag, queue: "q", text: "{}" }));
  /** Runs `count` jobs to their ends, `ms` each. */
  const runJobs = (count: number, ms: number) => {
    for (const job of isolate.jobs.splice(0, count)) {
      assert.ok(isolate.board.claim(job, clock.now()));
      isolate.board.done(job);
      assert.ok(lane.finish(job));
    }
    lane.measure(count, count * ms);
  };
  return { clock, isolate, lane, deliveries, runJobs };
}

describe("a lane", () => {
  it("takes only what it can start before its speed is known", () => {
    assert.equal(setUp(1).lane.room, 1);
    assert.equal(setUp(7).lane.room, 7);
  });

  it("takes about 20 ms of work ahead once its speed is known", () => {
    const { lane, deliveries, runJobs } = setUp();
    lane.give(deliveries(1), 0, 1);
    assert.equal(lane.room, 0);
    runJobs(1, 5);
    assert.equal(lane.room, 1 + 4);
  });

  it("is held up by what gives no sign of life while no task runs, not by a long task that has just ended", () => {
    const { isolate, lane, deliveries } = setUp();
    const look = (times: number) => {
      for (let i = 0; i < times; i++) lane.silence();
      return lane.isHeldUp;
    };
    lane.give(deliveries(2), 0, 2);
    assert.ok(isolate.board.claim(isolate.jobs[0], 0));
    assert.equal(look(20), false);
    // Its report is on its way.
    isolate.board.done(isolate.jobs[0]);
    assert.equal(look(9), false);
    assert.equal(look(1), true);
    lane.answered();
    assert.equal(lane.isHeldUp, false);
  });

  it("takes no more than 128 ahead, however quick they are", () => {
    const { lane, deliveries, runJobs } = setUp();
    lane.give(deliveries(1), 0, 1);
    runJobs(1, 0.001);
    assert.equal(lane.room, 129);
  });

  it("takes nothing ahead of long tasks", () => {
    const { lane, deliveries, runJobs } = setUp();
    lane.give(deliveries(1), 0, 1);
    runJobs(1, 500);
    assert.equal(lane.room, 1);
  });

  it("is hungry when half of what it may hold is done", () => {
    const { lane, deliveries, runJobs } = setUp();
    lane.give(deliveries(1), 0, 1);
    runJobs(1, 2);
    lane.give(deliveries(11), 0, 11);
    assert.equal(lane.hungry, false);
    runJobs(5, 2);
    assert.equal(lane.hungry, false);
    runJobs(1, 2);
    assert.equal(lane.hungry, true);
  });

  it("gives back what waits, the last handed over first, and never what runs", () => {
    const { clock, lane, isolate, deliveries } = setUp();
    const given = deliveries(3);
    lane.give(given, 0, 3);
    isolate.board.claim(isolate.jobs[0], clock.now());
    assert.deepEqual(lane.takeBack(1), [given[2]]);
    assert.deepEqual(lane.takeBack(Infinity), [given[1]]);
    assert.equal(lane.size, 1);
    assert.equal(lane.running, 1);
  });

  it("gives back only what has waited long enough", async () => {
    const { clock, lane, deliveries } = setUp();
    const [early, late] = [deliveries(1), deliveries(1)];
    lane.give(early, 0, 1);
    await clock.advance(1000);
    lane.give(late, 0, 1);
    assert.deepEqual(lane.takeBack(Infinity, 1000), early);
  });

  it("has no room while jobs wait behind a long one, and has it again when that ends", async () => {
    const { clock, lane, isolate, deliveries, runJobs } = setUp();
    lane.give(deliveries(1), 0, 1);
    runJobs(1, 1);
    lane.give(deliveries(3), 0, 3);
    isolate.board.claim(isolate.jobs[0], clock.now());
    assert.equal(lane.look(), false);
    await clock.advance(21);
    assert.equal(lane.look(), true);
    assert.equal(lane.room, 0);
    isolate.board.done(isolate.jobs[0]);
    lane.finish(isolate.jobs[0]);
    lane.measure(1, 21);
    assert.ok(lane.room > 0);
  });

  for (const running of [0, 1]) {
    it(`takes more once an isolate that was held up answers, with ${running} of its slots in use`, async () => {
      const { clock, lane, isolate, deliveries, runJobs } = setUp(2);
      lane.give(deliveries(1), 0, 1);
      runJobs(1, 1);
      lane.give(deliveries(3), 0, 3);
      for (const job of isolate.jobs.slice(0, running)) isolate.board.claim(job, clock.now());
      await clock.advance(21);
      assert.equal(lane.look(), true);
      assert.equal(lane.takeBack(Infinity).length, 3 - running);
      assert.equal(lane.room, 0);
      assert.equal(isolate.asked, 1);
      lane.answered();
      assert.equal(lane.room, 2 - running);
    });
  }

  it("takes nothing ahead while a long task runs alone", async () => {
    const { clock, lane, isolate, deliveries, runJobs } = setUp(2);
    lane.give(deliveries(1), 0, 1);
    runJobs(1, 1);
    lane.give(deliveries(1), 0, 1);
    isolate.board.claim(isolate.jobs[0], clock.now());
    await clock.advance(21);
    assert.equal(lane.look(), false);
    assert.equal(lane.room, 1);
  });

  it("tells what an isolate that ended leaves behind", () => {
    const { clock, lane, isolate, deliveries } = setUp();
    const [ran, runs, waits] = deliveries(3);
    lane.give([ran, runs, waits], 0, 3);
    isolate.board.claim(isolate.jobs[0], clock.now());
    isolate.board.done(isolate.jobs[0]);
    isolate.board.claim(isolate.jobs[1], clock.now());
    assert.deepEqual(lane.abandon(), { unreported: [ran], started: [runs], unstarted: [waits] });
    assert.equal(lane.size, 0);
  });
});
