/** Remote control of a worker: what it obeys, what it answers, and what becomes of tasks that are revoked. */
import assert from "node:assert/strict";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { afterEach, describe, it } from "node:test";
import { TaskError, TaskRevokedError } from "../../mod.ts";
import { startTesting, type Testing } from "../../runtime/testing.ts";
import { eventually, within } from "../conformance/patience.ts";
import { setUp } from "./in_process.ts";

const TASKS = fileURLToPath(new URL("./tasks.ts", import.meta.url));
/** Its answer is enough. */
const HERE = { destination: ["celery@testing"], reply: true };

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

/** A worker in this thread whose tasks leave their word in `ran`, but for `hold`, which waits for `let go`. */
async function start(slots = 1000): Promise<Testing & { ran: string[]; letGo: () => void }> {
  const ran: string[] = [];
  let letGo = () => {};
  const gate = new Promise<void>((resolve) => letGo = resolve);
  const testing = await startTesting({
    slots,
    tasks: {
      t: {
        say: (word: string) => ran.push(word),
        hold: async () => {
          ran.push("holding");
          await gate;
          ran.push("let go");
        },
      },
    },
  });
  open.push(testing.close);
  return { ...testing, ran, letGo };
}

async function revokedError(result: PromiseLike<unknown>): Promise<TaskRevokedError> {
  try {
    await within(10_000, result, "the end of a revoked task");
  } catch (error) {
    assert.ok(error instanceof TaskRevokedError, String(error));
    return error;
  }
  throw new Error("it was not revoked");
}

describe("a task that is revoked", () => {
  it("before its worker has it never runs, and its caller is told", async () => {
    const { app, ran, worker, idle } = await start();
    await app.control.revoke("me", HERE);
    const revoked = app.sendTask("t.say", ["one"], {}, { taskId: "me" });
    const other = app.sendTask("t.say", ["two"]);
    const error = await revokedError(revoked);
    assert.equal(error.message, "revoked");
    assert.equal(error.module, "celery.exceptions");
    assert.equal(await revoked.state, "REVOKED");
    await other;
    await idle();
    assert.deepEqual(ran, ["two"]);
    assert.deepEqual([worker.counts.revoked, worker.counts.succeeded], [1, 1]);
  });

  it("while it waits for its time in the worker is dropped at once", async () => {
    const { app, ran, idle, advance } = await start();
    const near = app.sendTask("t.say", ["near"], {}, { countdown: 3 });
    await idle();
    const [scheduled] = Object.values(await app.inspect.scheduled(HERE)) as [{ request: { id: string } }[]];
    assert.deepEqual(scheduled.map(({ request }) => request.id), [near.id]);
    await near.revoke(HERE);
    await revokedError(near);
    await advance(10);
    assert.deepEqual(ran, []);
  });

  it("while the broker keeps it until its time is dropped when that has come", async () => {
    const { app, ran, idle, advance } = await start();
    const far = app.sendTask("t.say", ["far"], {}, { countdown: 3600 });
    await idle();
    await far.revoke(HERE);
    await advance(3601);
    await revokedError(far);
    assert.deepEqual(ran, []);
  });

  it("while it waits behind another is dropped at once; the one that runs goes on", async () => {
    const { app, ran, letGo } = await start(1);
    const first = app.sendTask("t.hold");
    await eventually(() => assert.deepEqual(ran, ["holding"]));
    const second = app.sendTask("t.say", ["second"]);
    await second.published;
    const replies = await app.control.revoke([first.id, second.id], HERE);
    assert.deepEqual(replies, {
      "celery@testing": { ok: `tasks ${first.id}, ${second.id} flagged as revoked` },
    });
    letGo();
    await first;
    await revokedError(second);
    assert.deepEqual(ran, ["holding", "let go"]);
  });

  it("after it has ended is not remembered", async () => {
    const { app, idle } = await start();
    const done = app.sendTask("t.say", ["done"]);
    await done;
    await idle();
    await done.revoke(HERE);
    assert.deepEqual(await app.inspect.revoked(HERE), { "celery@testing": [] });
    assert.equal(await done.state, "SUCCESS");
  });

  it("stays so for a worker that starts later", async () => {
    const { app, worker, close } = setUp();
    open.push(close);
    await app.control.revoke("me");
    const revoked = app.sendTask("tasks.add", [1, 2], {}, { taskId: "me" });
    await revoked.published;
    await worker([TASKS]);
    await revokedError(revoked);
    assert.equal(await app.sendTask("tasks.add", [1, 2]), 3);
  });
});

describe("tasks with a stamp that is revoked", () => {
  it("never run, received or still to come; others do", async () => {
    const { app, ran, idle, advance } = await start();
    const say = (word: string, stamps: Record<string, unknown>, countdown = 0) =>
      app.signature("t.say", [word]).stamp(stamps).applyAsync({ countdown });
    const near = say("near", { order: "a", line: 3 }, 3), listed = say("listed", { order: ["x", "b"] }, 3);
    const other = say("other", { order: "c" }, 3);
    await idle();
    assert.deepEqual(await app.control.revokeByStampedHeaders({ order: ["a", "b"] }, HERE), {
      "celery@testing": { ok: 'headers {"order":["a","b"]} flagged as revoked, but not terminated' },
    });
    for (const gone of [near, listed, say("late", { order: "a" })]) await revokedError(gone);
    await say("of another name", { customer: "a" });
    await advance(3);
    await other;
    assert.deepEqual(ran, ["of another name", "other"]);
    assert.deepEqual(await app.inspect.revoked(HERE), { "celery@testing": [] });
    const wrong = await app.control.broadcast("revoke_by_stamped_headers", { headers: [3] }, HERE);
    assert.match(JSON.stringify(wrong), /error.*headers must be stamps/);
    await assert.rejects(app.control.revokeByStampedHeaders({ order: [] }), TypeError);
  });

  it("are ended where they run, those of this order alone, and stay revoked for a worker that starts later", async () => {
    const { app, worker, close } = setUp();
    open.push(close);
    await app.control.revokeByStampedHeaders({ order: "a" });
    const late = app.signature("tasks.add", [1, 2]).stamp({ order: "a" }).delay();
    const started = await worker([TASKS], { concurrency: 2 });
    await revokedError(late);
    const [one, other] = ["b", "c"].map((order) =>
      app.signature("tasks.wait", [order === "b" ? 60_000 : 300]).stamp({ order }).delay()
    );
    await eventually(() => assert.equal(started.running, 2));
    await app.control.revokeByStampedHeaders({ order: "c" });
    const here = { destination: ["celery@test0"], reply: true };
    const replies = await app.control.revokeByStampedHeaders({ order: "b" }, { ...here, terminate: true });
    assert.deepEqual(replies, { "celery@test0": { ok: 'headers {"order":"b"} revoked' } });
    assert.equal((await revokedError(one)).message, "terminated");
    assert.equal(await within(10_000, other, "the other task"), 300);
  });
});

describe("a task that is terminated while it runs", () => {
  for (const [name, args] of [["tasks.busy", [60_000]], ["tasks.wait", [60_000]]] as const) {
    it(`is ended with its isolate, and others go on (${name})`, async () => {
      const { app, worker, close } = setUp();
      open.push(close);
      const started = await worker([TASKS]);
      const long = app.sendTask(name, [...args]);
      await eventually(() => assert.equal(started.running, 1));
      const after = app.sendTask("tasks.add", [1, 2]);
      await after.published;
      const options = { terminate: true, reply: true, destination: ["celery@test0"], signalName: "SIGUSR1" };
      const replies = await app.control.revoke(long.id, options);
      assert.deepEqual(replies, { "celery@test0": { ok: `terminate: ${long.id}` } });
      const error = await revokedError(long);
      assert.equal(error.message, "terminated");
      assert.equal(await within(10_000, after, "the task behind it"), 3);
      assert.equal(started.counts.revoked, 1);
      const [{ ready, unacked }] = await (await app.transport()).lengths(["celery"]);
      assert.deepEqual([ready, unacked], [0, 0]);
    });
  }

  it("lets the others in its isolate run again", async () => {
    const { app, worker, close } = setUp();
    open.push(close);
    const started = await worker([TASKS], { slots: 2 });
    const long = app.sendTask("tasks.wait", [60_000]);
    const other = app.sendTask("tasks.wait", [300]);
    await eventually(() => assert.equal(started.running, 2));
    await app.control.terminate(long.id, { reply: true, destination: ["celery@test0"] });
    await revokedError(long);
    assert.equal(await within(10_000, other, "the other task"), 300);
  });

  it("is told when nobody runs it", async () => {
    const { app } = await start();
    const replies = await app.control.terminate("nobody", HERE);
    assert.deepEqual(replies, { "celery@testing": { ok: "terminate: tasks unknown" } });
  });
});

describe("remote control", () => {
  it("answers what a worker is and has in hand", async () => {
    const { app, ran, letGo, idle } = await start(1);
    const held = app.sendTask("t.hold", [], { a: 1 });
    await eventually(() => assert.deepEqual(ran, ["holding"]));
    const answer = async (asked: Promise<Readonly<Record<string, unknown>>>) =>
      (await asked)["celery@testing"] as never;
    const [active]: [Record<string, unknown>] = await answer(app.inspect.active(HERE));
    assert.deepEqual([active.id, active.name, active.kwargs, active.hostname], [
      held.id,
      "t.hold",
      { a: 1 },
      "celery@testing",
    ]);
    assert.equal(typeof active.time_start, "number");
    const found: Record<string, [string, { name: string }]> = await answer(
      app.control.queryTask([held.id, "unknown"], HERE),
    );
    assert.deepEqual(Object.entries(found).map(([id, [phase, { name }]]) => [id, phase, name]), [
      [held.id, "active", "t.hold"],
    ]);
    assert.deepEqual(await answer(app.inspect.registered(HERE)), ["t.hold", "t.say"]);
    const [queue]: [{ name: string }] = await answer(app.inspect.activeQueues(HERE));
    assert.equal(queue.name, "celery");
    const stats: { pid: number; total: { succeeded: number } } = await answer(app.inspect.stats(HERE));
    assert.equal(stats.pid, process.pid);
    letGo();
    await idle();
    assert.deepEqual(await answer(app.inspect.active(HERE)), []);
    assert.deepEqual(await answer(app.inspect.reserved(HERE)), []);
  });

  it("answers a wrong argument, and a command that there is not, with an error", async () => {
    const { app } = await start();
    const reply = async (method: string, given: Record<string, unknown>) =>
      (await app.control.broadcast(method, given, HERE))["celery@testing"];
    assert.deepEqual(await reply("revoke", {}), { error: "revoke: task_id must be an id or a list of ids" });
    assert.deepEqual(await reply("revoke", { task_id: ["a"], terminate: 5 }), {
      error: "revoke: terminate must be true or false",
    });
    assert.deepEqual(await reply("terminate", { task_id: "a", signal: 9 }), {
      ok: "terminate: tasks unknown",
    });
    assert.deepEqual(await reply("terminate", { task_id: "a", signal: [] }), {
      error: "terminate: signal must be a text",
    });
    assert.deepEqual(await reply("time_limit", { task_name: "t.say", soft: -1 }), {
      error: "time_limit: soft must be a number of seconds above 0, or null",
    });
    assert.deepEqual(await reply("time_limit", { task_name: "t.none" }), { error: "unknown task" });
    assert.deepEqual(await reply("frobnicate", {}), { error: 'unknown command "frobnicate"' });
    assert.deepEqual(await reply("ping", { anything: true }), { ok: "pong" });
  });

  it("sets the time limits of a task", async () => {
    const { app, worker, close } = setUp();
    open.push(close);
    await worker([TASKS]);
    const options = { reply: true, destination: ["celery@test0"] };
    assert.deepEqual(await app.control.timeLimit("tasks.busy", { hard: 0.2 }, options), {
      "celery@test0": { ok: "time limits set successfully" },
    });
    const error = await within(
      20_000,
      app.sendTask("tasks.busy", [60_000]).get({ propagate: false }),
      "its end",
    );
    assert.ok(error instanceof TaskError);
    assert.equal(error.type, "TimeLimitExceeded");
  });

  it("shuts workers down, which answer first", async () => {
    const { app, worker } = await start();
    assert.deepEqual(await app.control.shutdown(HERE), { "celery@testing": { ok: "shutting down" } });
    await within(5_000, worker.done, "its end");
  });

  it("shares what is revoked with a worker that starts", async () => {
    const { app } = await start();
    await app.control.revoke("mine", HERE);
    const given = { from_node: "celery@other", revoked: { theirs: 1795240645.5 } };
    const reply = (await app.control.broadcast("hello", given, HERE))["celery@testing"];
    assert.deepEqual((reply as { revoked: string[] }).revoked, ["mine", "theirs"]);
  });
});
