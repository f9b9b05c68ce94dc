import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { eventually, within } from "../conformance/patience.ts";
import type { TestWorker } from "../servers/worker.ts";
import { type Gate, marksIn, Workshop } from "./workshop.ts";

/** A worker that blocks at a gate with ten tasks behind it, and one beside it that is stopped. */
async function stuck(shop: Workshop, file: string) {
  const worker = await shop.worker("-c", "1");
  await shop.warmUp();
  const peer = await shop.worker("-c", "1");
  peer.signal("SIGSTOP");
  const gate = shop.gate();
  const long = shop.jobs.markAndHold(file, gate.path);
  const waiting = Array.from({ length: 10 }, () => shop.jobs.wasRedelivered());
  await within(5_000, worker.line(/"message":"holding/), "the start of the long task");
  return { worker, peer, gate, long, waiting };
}

/** Has a worker `stop` when it is told so, and tells what became of it. */
async function secondSignal(name: "SIGTERM" | "SIGINT", code: number) {
  const shop = await Workshop.open();
  try {
    const file = shop.file("marks");
    const { worker, peer, gate, long, waiting } = await stuck(shop, file);
    worker.signal(name);
    await within(5_000, worker.line(/finishing/), "its word");
    // Two signals within a tenth of a second are taken for one that came twice.
    await new Promise((resolve) => setTimeout(resolve, 150));
    const told = performance.now();
    worker.signal(name);
    assert.equal(await within(5_000, worker.exited, "its end"), code);
    assert.ok(performance.now() - told < 1_500, "it did not end at once");
    peer.signal("SIGCONT");
    await gate.open();
    assert.equal(await within(5_000, long, "the second run, without waiting for a lease"), "let go");
    assert.deepEqual(
      await within(5_000, Promise.all(waiting), "what had not started"),
      waiting.map(() => false),
    );
    assert.deepEqual(
      (await marksIn(file)).map(({ again, pid }) => [again, pid]),
      [[false, worker.pid], [true, peer.pid]],
    );
    assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 0 });
  } finally {
    await shop[Symbol.asyncDispose]();
  }
}

async function firstSignal(name: "SIGTERM" | "SIGINT") {
  const shop = await Workshop.open();
  try {
    const file = shop.file("marks");
    const { worker, peer, gate, long, waiting } = await stuck(shop, file);
    worker.signal(name);
    await within(5_000, worker.line(/finishing 1 running task;/), "its word");
    peer.signal("SIGCONT");
    const redelivered = await within(2_000, Promise.all(waiting), "what it handed back");
    assert.deepEqual(redelivered, waiting.map(() => false));
    await eventually(async () => assert.equal((await shop.length()).unacked, 1));
    await gate.open();
    assert.equal(await within(5_000, worker.exited, "its end"), 0);
    assert.equal(await within(5_000, long, "what it finished"), "let go");
    assert.deepEqual((await marksIn(file)).map(({ again, pid }) => [again, pid]), [[false, worker.pid]]);
    assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 0 });
  } finally {
    await shop[Symbol.asyncDispose]();
  }
}

describe("a worker that is told to stop", () => {
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    it(`by ${name} finishes what runs and hands back what did not start`, () => firstSignal(name));
  }
  it("by a second SIGTERM ends at once and loses nothing", () => secondSignal("SIGTERM", 143));
  it("by a second SIGINT ends at once and loses nothing", () => secondSignal("SIGINT", 130));

  it("by SIGQUIT ends at once and loses nothing", async () => {
    const shop = await Workshop.open();
    try {
      const { worker, peer, gate, long, waiting } = await stuck(shop, shop.file("marks"));
      worker.signal("SIGQUIT");
      assert.equal(await within(5_000, worker.exited, "its end"), 131);
      peer.signal("SIGCONT");
      await gate.open();
      assert.equal(await within(5_000, long, "the second run, without waiting for a lease"), "let go");
      await within(5_000, Promise.all(waiting), "what had not started");
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("and given a time of grace ends what has not ended by then, and loses nothing", async () => {
    const shop = await Workshop.open();
    try {
      const worker = await shop.worker("-c", "1", "--grace", "0.2");
      const gate = shop.gate();
      const long = shop.jobs.markAndHold(shop.file("marks"), gate.path);
      await within(5_000, worker.line(/"message":"holding/), "its start");
      worker.signal("SIGTERM");
      assert.equal(await within(5_000, worker.exited, "its end"), 0);
      assert.match(worker.lines.join("\n"), /1 task has not ended within the 0.2 s of grace/);
      assert.deepEqual(await shop.length(), { ready: 1, delayed: 0, unacked: 0, dead: 0 });
      await gate.open();
      const next = await shop.worker("-c", "1");
      assert.equal(await within(5_000, long, "the second run"), "let go");
      assert.deepEqual((await marksIn(shop.file("marks"))).map(({ again, pid }) => [again, pid]), [
        [false, worker.pid],
        [true, next.pid],
      ]);
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("while it has nothing to do ends at once", async () => {
    const shop = await Workshop.open();
    try {
      const worker = await shop.worker("-c", "2");
      assert.equal(await within(2_000, worker.stop(), "its end"), 0);
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("while its tasks end by themselves a moment later stores all their results", async () => {
    const shop = await Workshop.open();
    try {
      const worker = await shop.worker("-c", "2", "--slots", "20");
      const gate = shop.gate();
      const held = Array.from({ length: 40 }, () => shop.jobs.markAndHold(shop.file("marks"), gate.path));
      await eventually(async () => assert.equal((await marksIn(shop.file("marks"))).length, 40));
      worker.signal("SIGTERM");
      await within(5_000, worker.line(/finishing 40 running tasks;/), "its word");
      await gate.open();
      assert.equal(await within(5_000, worker.exited, "its end"), 0);
      assert.deepEqual(new Set(await Promise.all(held.map((each) => each.status))), new Set(["SUCCESS"]));
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });
});

describe("a worker that drains", () => {
  it("ends when all that was ready is settled, whatever is delayed or in other hands", async () => {
    const shop = await Workshop.open();
    try {
      const other: TestWorker = await shop.worker("-c", "1");
      const gate: Gate = shop.gate();
      const held = shop.jobs.hold(gate.path);
      await within(5_000, other.line(/"message":"holding/), "the other worker's task");
      other.signal("SIGSTOP");
      const delayed = shop.jobs.echo.applyAsync({ args: ["later"], countdown: 3600 });
      const ready = Array.from({ length: 500 }, (_, i) => shop.jobs.echo(i));
      await Promise.all([delayed.published, ...ready.map(({ published }) => published)]);
      const drainer = await shop.worker("-c", "2", "--drain");
      assert.equal(await within(10_000, drainer.exited, "its end"), 0);
      assert.deepEqual(await Promise.all(ready), [...ready.keys()]);
      assert.deepEqual(await shop.length(), { ready: 0, delayed: 1, unacked: 1, dead: 0 });
      other.signal("SIGCONT");
      await gate.open();
      assert.equal(await held, "let go");
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("ends at once where nothing is ready", async () => {
    const shop = await Workshop.open();
    try {
      const drainer = await shop.worker("-c", "1", "--drain");
      assert.equal(await within(5_000, drainer.exited, "its end"), 0);
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });
});
