/** A worker in trouble says so once, and once when it is right again. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Silence, Watch } from "../../runtime/worker/watch.ts";
import { FakeClock } from "../fake_clock.ts";

/** A watch of fake time, what it has said, and the silences that it finds. */
function watching() {
  const clock = new FakeClock();
  const said: string[] = [];
  let silences: readonly Silence[] = [];
  const watch = new Watch(clock, () => silences, {
    stoodStill: (ms) => said.push(ms === undefined ? "goes on" : `stood still for ${ms} ms`),
    silent: (silence) => said.push(silence === undefined ? "answers" : `silent: ${silence.tasks.join()}`),
    dying: (count, reason) => said.push(count === undefined ? "lives" : `${count} died: ${reason}`),
    notStarting: (reason) => said.push(reason === undefined ? "starts" : `can't start: ${reason}`),
  });
  watch.start();
  return { clock, said, watch, silent: (now: readonly Silence[]) => silences = now };
}

describe("the watch of a worker", () => {
  it("has nothing to say while all is well", async () => {
    const { clock, said, watch } = watching();
    await clock.advance(600_000);
    assert.deepEqual(said, []);
    watch.close();
    assert.equal(clock.pending, 0);
  });

  it("says once that the main thread stood still, and once that it goes on", async () => {
    const { clock, said } = watching();
    await clock.advance(5_000);
    clock.skip(3_500);
    await clock.advance(0);
    clock.skip(9_000);
    await clock.advance(0);
    assert.deepEqual(said, ["stood still for 2500 ms"]);
    await clock.advance(59_000);
    assert.deepEqual(said, ["stood still for 2500 ms"]);
    await clock.advance(2_000);
    assert.deepEqual(said, ["stood still for 2500 ms", "goes on"]);
  });

  it("says once which task keeps an isolate from answering", async () => {
    const { clock, said, silent } = watching();
    silent([{ ms: 29_000, tasks: ["a.b[1]"] }]);
    await clock.advance(2_000);
    assert.deepEqual(said, []);
    silent([{ ms: 10_000, tasks: ["a.c[2]"] }, { ms: 31_000, tasks: ["a.b[1]"] }]);
    await clock.advance(10_000);
    assert.deepEqual(said, ["silent: a.b[1]"]);
    silent([]);
    await clock.advance(1_000);
    assert.deepEqual(said, ["silent: a.b[1]", "answers"]);
  });

  it("tells isolates that die again and again from one that died", async () => {
    const { clock, said, watch } = watching();
    watch.died("first");
    await clock.advance(20_000);
    watch.died("second");
    watch.died("third");
    assert.deepEqual(said, []);
    watch.died("fourth");
    watch.died("fifth");
    assert.deepEqual(said, ["3 died: fourth"]);
    await clock.advance(61_000);
    assert.deepEqual(said, ["3 died: fourth", "lives"]);
  });

  it("says once that isolates can't be started, however often it is tried", async () => {
    const { clock, said, watch } = watching();
    for (let i = 0; i < 5; i++) {
      watch.startFailed("no such file");
      await clock.advance(10_000);
    }
    assert.deepEqual(said, ["can't start: no such file"]);
    await clock.advance(60_000);
    assert.deepEqual(said, ["can't start: no such file", "starts"]);
  });
});
