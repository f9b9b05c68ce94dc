/** Hard time limits of tasks in real isolates, in time that the test turns. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { endsBusyThreads } from "../../runtime/platform.ts";
import { eventually } from "../conformance/patience.ts";
import { delivery, deliveryWith, openPool, type Told } from "./pools.ts";

/** Limits are looked after this often, in ms. */
const LOOK = 20;

/** Tasks have said that they began: their limits are on the board. */
async function begun(told: Told, count = 1): Promise<void> {
  await eventually(() => assert.equal(told.lines.length, count));
}

describe("a hard time limit", () => {
  for (const what of ["busyFor1", "waitFor1"]) {
    it(`ends ${what} at the first look after it is over, and what waited goes on`, async () => {
      const { pool, clock, told } = await openPool();
      try {
        const endless = delivery(`limited.${what}`);
        pool.dispatch([endless]);
        await begun(told);
        const behind = delivery("tasks.add", 1, 2);
        pool.dispatch([behind]);
        await clock.advance(LOOK + 999);
        assert.deepEqual(told.overLimit, []);
        assert.equal(pool.running, 1);
        await clock.advance(LOOK);
        assert.deepEqual(told.overLimit, [[endless, 1]]);
        assert.equal(pool.find(endless.tag as string), undefined);
        await eventually(() => assert.deepEqual(told.finished, [behind]));
        assert.deepEqual(told.interrupted, []);
        assert.deepEqual(
          told.warnings.map((line) => /was ended .* keeps a core busy .* isolation: "process"/.test(line)),
          endsBusyThreads ? [] : [true],
        );
      } finally {
        pool.terminate();
      }
    });
  }

  it("is that of the message, else of the task, else of the settings", async () => {
    const { pool, clock, told } = await openPool({ slots: 4, settings: { taskTimeLimit: 2 } });
    try {
      const [byMessage, byTask, bySettings] = [
        deliveryWith({ timeLimit: [3, null] }, "limited.waitFor1"),
        deliveryWith({ timeLimit: [0, null] }, "limited.waitFor1"),
        delivery("limited.wait"),
      ];
      pool.dispatch([byMessage]);
      await begun(told);
      pool.dispatch([bySettings]);
      await begun(told, 2);
      pool.dispatch([byTask]);
      await begun(told, 3);
      await clock.advance(LOOK + 1000);
      assert.deepEqual(told.overLimit, [[byTask, 1]]);
      const [[others, why]] = told.interrupted;
      assert.deepEqual(others, [byMessage, bySettings]);
      assert.equal(why, `limited.waitFor1[${byTask.tag}] ran there longer than its time limit`);
      pool.dispatch([bySettings]);
      await begun(told, 4);
      await clock.advance(LOOK + 2000);
      assert.deepEqual(told.overLimit.slice(1), [[bySettings, 2]]);
      pool.dispatch([byMessage]);
      await begun(told, 5);
      await clock.advance(LOOK + 2980);
      assert.equal(told.overLimit.length, 2);
      await clock.advance(LOOK);
      assert.deepEqual(told.overLimit.slice(2), [[byMessage, 3]]);
    } finally {
      pool.terminate();
    }
  });

  it("of several tasks in one isolate fails all that are over theirs, and nobody else", async () => {
    const { pool, clock, told } = await openPool({ slots: 3 });
    try {
      const [first, second] = [delivery("limited.waitFor1"), delivery("limited.waitFor1")];
      const innocent = delivery("limited.wait");
      pool.dispatch([first, innocent, second]);
      await begun(told, 3);
      await clock.advance(LOOK + 1000);
      assert.deepEqual(told.overLimit, [[first, 1], [second, 1]]);
      assert.deepEqual(told.interrupted.map(([deliveries]) => deliveries), [[innocent]]);
    } finally {
      pool.terminate();
    }
  });

  it("is not met sooner because the machine's clock was set forward", async () => {
    const { pool, clock, told } = await openPool();
    try {
      pool.dispatch([delivery("limited.waitFor1")]);
      await begun(told);
      clock.jump(3_600_000);
      await clock.advance(LOOK);
      clock.jump(3_600_000);
      await clock.advance(900);
      assert.deepEqual(told.overLimit, []);
    } finally {
      pool.terminate();
    }
  });

  it("can be set while the pool is at work, for what starts then", async () => {
    const { pool, clock, told } = await openPool();
    try {
      const before = delivery("limited.wait");
      pool.dispatch([before]);
      await begun(told);
      pool.setLimits({ task: "limited.wait", hard: 0.5, soft: null });
      await clock.advance(LOOK + 5000);
      assert.deepEqual(told.overLimit, []);
      assert.equal(pool.end(before, "the test says so"), "ended");
      // The next isolate is told of it, too.
      const after = delivery("limited.wait");
      pool.dispatch([after]);
      await begun(told, 2);
      await clock.advance(LOOK + 500);
      assert.deepEqual(told.overLimit, [[after, 0.5]]);
    } finally {
      pool.terminate();
    }
  });

  it("holds for what runs on in an isolate whose modules were replaced", async () => {
    const { pool, clock, told, modules } = await openPool();
    try {
      const endless = delivery("limited.busyFor1");
      pool.dispatch([endless]);
      await begun(told);
      await pool.replaceModules([...modules], new AbortController().signal);
      await clock.advance(LOOK + 1000);
      assert.deepEqual(told.overLimit, [[endless, 1]]);
      assert.equal(pool.size, 0);
      pool.dispatch([delivery("tasks.add", 1, 2)]);
      await eventually(() => assert.equal(told.finished.length, 1));
    } finally {
      pool.terminate();
    }
  });
});

describe("code that goes on without end after its task", () => {
  it("is ended with its isolate when that has answered none of ten looks, and what waited there runs", async () => {
    const { pool, told } = await openPool({ mayDie: true });
    try {
      pool.dispatch([delivery("limited.busyAfterwards")]);
      await begun(told);
      const next = delivery("tasks.add", 1, 2);
      pool.dispatch([next]);
      for (let look = 0; look < 10; look++) pool.silences();
      assert.equal(told.deaths.length, 0);
      pool.silences();
      assert.deepEqual(told.deaths.map(([, how]) => how), ["left behind"]);
      await eventually(() => assert.equal(told.finished.at(-1), next));
    } finally {
      pool.terminate();
    }
  });
});
