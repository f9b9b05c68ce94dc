import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ClaimBoard, JobNumbers } from "../../runtime/isolate/claim_board.ts";

const NOW = Date.UTC(2026, 10, 21);

/** Both ends of one board, as the main thread and the isolate have them. */
function bothEnds() {
  const main = new ClaimBoard(undefined, NOW);
  return { main, inside: new ClaimBoard(main.memory), numbers: new JobNumbers() };
}

describe("the claim board", () => {
  it("shows each end how far a job has come", () => {
    const { main, inside, numbers } = bothEnds();
    const job = numbers.take();
    main.offer(job);
    assert.equal(main.state(job), "waiting");
    assert.equal(inside.claim(job, NOW + 1234), true);
    assert.equal(main.state(job), "running");
    assert.equal(main.startedAt(job), NOW + 1234);
    inside.done(job);
    assert.equal(main.state(job), "done");
  });

  it("gives a job to one end only", () => {
    const { main, inside, numbers } = bothEnds();
    const [started, taken] = [numbers.take(), numbers.take()];
    main.offer(started);
    main.offer(taken);
    assert.equal(inside.claim(started, NOW), true);
    assert.equal(main.takeBack(started), false);
    assert.equal(main.takeBack(taken), true);
    assert.equal(main.takeBack(taken), false);
    assert.equal(inside.claim(taken, NOW), false);
    assert.equal(main.state(taken), "gone");
  });

  it("does not take an old entry for the job that has its slot now", () => {
    const { main, inside, numbers } = bothEnds();
    const old = numbers.take();
    main.offer(old);
    main.takeBack(old);
    numbers.release(old);
    const fresh = numbers.take();
    assert.equal(JobNumbers.slotOf(fresh), JobNumbers.slotOf(old));
    assert.notEqual(fresh, old);
    main.offer(fresh);
    assert.equal(inside.claim(old, NOW), false);
    assert.equal(main.state(old), "gone");
    assert.equal(inside.claim(fresh, NOW), true);
  });

  it("holds as many jobs as it says, and says so beyond", () => {
    const { main, inside, numbers } = bothEnds();
    const jobs = Array.from({ length: JobNumbers.capacity }, () => numbers.take());
    assert.equal(new Set(jobs.map(JobNumbers.slotOf)).size, JobNumbers.capacity);
    for (const job of jobs) main.offer(job);
    assert.ok(jobs.every((job) => inside.claim(job, NOW)));
    assert.throws(() => numbers.take(), RangeError);
    numbers.release(jobs[7]);
    assert.equal(JobNumbers.slotOf(numbers.take()), JobNumbers.slotOf(jobs[7]));
  });

  it("limits the log lines under way", () => {
    const { main, inside } = bothEnds();
    assert.equal(inside.admitLogLine(2), true);
    assert.equal(inside.admitLogLine(2), true);
    assert.equal(inside.admitLogLine(2), false);
    main.logLineWritten();
    assert.equal(inside.admitLogLine(2), true);
  });
});
