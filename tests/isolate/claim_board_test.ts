import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ClaimBoard, JobNumbers } from "../../runtime/isolate/claim_board.ts";

const NOW = Date.UTC(2026, 10, 21);

/** Both ends of one board, as the main thread and the isolate have them. */
function bothEnds() {
  const main = new ClaimBoard();
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

  it("shows the main thread how long a job may run, and forgets it with the job", () => {
    const { main, inside, numbers } = bothEnds();
    const job = numbers.take();
    main.offer(job);
    inside.claim(job, NOW);
    assert.equal(main.hasLimits, false);
    assert.equal(main.limitOf(job), 0);
    inside.limit(job, 0.25);
    assert.equal(main.hasLimits, true);
    assert.equal(main.limitOf(job), 0.25);
    numbers.release(job);
    const next = numbers.take();
    assert.equal(JobNumbers.slotOf(next), JobNumbers.slotOf(job));
    main.offer(next);
    assert.equal(main.limitOf(next), 0);
  });

  it("knows start times of workers that are years old", () => {
    const { main, inside, numbers } = bothEnds();
    const job = numbers.take();
    main.offer(job);
    inside.claim(job, NOW + 5 * 365 * 86_400_000);
    assert.equal(main.startedAt(job), NOW + 5 * 365 * 86_400_000);
  });

  it("shows the main thread how much memory the isolate uses", () => {
    const { main, inside } = bothEnds();
    assert.equal(main.heap, 0);
    inside.measureHeap(12_345);
    assert.equal(main.heap, 12_345);
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
