import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { chain } from "../../mod.ts";
import { TaskError } from "../../runtime/protocol/errors.ts";
import { derivedId } from "../../runtime/protocol/uid.ts";
import { runtimeName } from "../../runtime/platform.ts";
import { eventually, within } from "../conformance/patience.ts";
import { startWorker } from "../servers/worker.ts";
import { logOf, marksIn, Workshop } from "./workshop.ts";

const ways = [
  "throws outside of its run",
  "leaves a rejection behind",
  "calls process.exit",
  ...(runtimeName === "deno" ? ["calls Deno.exit", "closes its own scope"] : []),
];

/** The error that a task failed with. */
async function failure(result: PromiseLike<unknown>): Promise<TaskError> {
  try {
    await within(10_000, result, "the failure");
  } catch (error) {
    if (error instanceof TaskError) return error;
    throw error;
  }
  throw new Error("the task succeeded");
}

describe("an isolate that dies", () => {
  for (const how of ways) {
    it(`because its only running task ${how}: that task fails, the others of its batch do not notice`, async () => {
      const shop = await Workshop.open();
      try {
        const worker = await shop.worker("-c", "1");
        await shop.warmUp();
        const before = Array.from({ length: 30 }, (_, i) => shop.jobs.echo(i));
        const dying = shop.jobs.die(how);
        const after = Array.from({ length: 30 }, (_, i) => shop.jobs.echo(i));
        const error = await failure(dying);
        assert.equal(error.type, "WorkerLostError");
        assert.match(error.message, /jobs\.die/);
        const all = await within(10_000, Promise.all([...before, ...after]), "the other results");
        assert.deepEqual(all, [...before.keys(), ...after.keys()]);
        const [death] = logOf(worker).filter(({ message }) => message.includes("isolate died"));
        assert.equal(death.level, "error");
        assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 0 });
        assert.equal(await worker.stop(), 0);
      } finally {
        await shop[Symbol.asyncDispose]();
      }
    });

    it(`because its task ${how}: with rejectOnWorkerLost the task runs again, marked redelivered`, async () => {
      const shop = await Workshop.open();
      try {
        const worker = await shop.worker("-c", "1");
        const file = shop.file("marks");
        const result = shop.jobs.dieOnce(file, how);
        assert.equal(await within(10_000, result, "the second run"), "survived");
        assert.deepEqual((await marksIn(file)).map(({ again }) => again), [false, true]);
        assert.equal(await worker.stop(), 0);
      } finally {
        await shop[Symbol.asyncDispose]();
      }
    });
  }

  it("under a step of a chain: what is after it fails with it, and its error callbacks are told", async () => {
    const shop = await Workshop.open();
    try {
      await shop.worker("-c", "1");
      const { die, echo } = shop.jobs;
      const last = chain(die.s("calls process.exit"), echo.s(), echo.s()).linkError(echo.s()).delay();
      assert.equal((await failure(last)).type, "WorkerLostError");
      assert.equal(await last.parent!.failed(), true);
      const dead = last.parent!.parent!.id;
      const told = shop.app.AsyncResult(derivedId(dead, 0));
      assert.equal(await within(10_000, told, "the error callback"), dead);
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("while nothing runs in it is replaced, and nobody fails", async () => {
    const shop = await Workshop.open();
    try {
      const worker = await shop.worker("-c", "1");
      assert.equal(await shop.jobs.throwLater(20), "returned");
      await worker.line(/isolate died.*thrown after its run/);
      assert.equal(await within(5_000, shop.jobs.echo("still here"), "the next task"), "still here");
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("with several tasks running in it: nobody is blamed, all of them run again", async () => {
    const shop = await Workshop.open();
    try {
      const worker = await shop.worker("-c", "1", "--slots", "3");
      const gate = shop.gate(), file = shop.file("marks");
      const held = [shop.jobs.markAndHold(file, gate.path), shop.jobs.markAndHold(file, gate.path)];
      await eventually(async () => assert.equal((await marksIn(file)).length, 2));
      const dying = shop.jobs.dieOnce(file, "throws outside of its run");
      await worker.line(/isolate died/);
      // What ran there is suspect now, and runs one after the other.
      await gate.open();
      assert.equal(await within(10_000, dying, "the second run"), "survived");
      assert.deepEqual(await within(10_000, Promise.all(held), "the innocent"), ["let go", "let go"]);
      const again = (await marksIn(file)).filter((mark) => mark.again).map(({ id }) => id);
      assert.deepEqual(new Set(again), new Set([...held, dying].map(({ id }) => id)));
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("under one task more than maxDeliveries times: its message becomes a dead letter", async () => {
    const shop = await Workshop.open({ settings: { brokerTransportOptions: { maxDeliveries: 2 } } });
    try {
      const worker = await shop.worker("-c", "1");
      const file = shop.file("marks");
      const deadly = shop.jobs.dieAlways(file);
      await within(20_000, worker.line(/dead letter/), "the dead letter");
      assert.deepEqual((await marksIn(file)).map(({ again }) => again), [false, true, true]);
      const [letter, ...rest] = await (await shop.app.transport()).deadLetters("celery", 10);
      assert.equal(rest.length, 0);
      assert.match(letter.reason, /restored 2 times/);
      assert.ok(new TextDecoder().decode(letter.body).includes(deadly.id));
      const told = await failure(deadly);
      assert.equal(told.type, "WorkerLostError");
      assert.match(told.message, /dead letter and runs no more: restored 2 times/);
      assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 1 });
      assert.equal(await within(10_000, shop.jobs.echo("goes on"), "the next task"), "goes on");
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("again and again is started anew with growing pauses, and still serves a stop", async () => {
    const shop = await Workshop.open();
    const module = shop.file("short_lived.ts");
    await writeFile(
      module,
      "export function task() {}\nsetTimeout(() => { throw new Error('short') }, 5);\n",
    );
    const worker = await startWorker(["-A", module, "-b", shop.broker, "-c", "1"]);
    try {
      const deaths = () => logOf(worker).filter(({ message }) => message.includes("isolate died"));
      await eventually(() => assert.ok(deaths().length >= 7), 10_000);
      const times = deaths().map(({ time }) => Date.parse(time));
      const pauses = times.slice(1, 7).map((time, i) => time - times[i]);
      // The pause before a start is 0 for the first three, then 100, 200, 400 ms.
      assert.ok(
        pauses[3] >= 100 && pauses[4] >= 200 && pauses[5] >= 400,
        `pauses of ${pauses.join(", ")} ms`,
      );
      assert.equal(await within(5_000, worker.stop(), "its end"), 0);
    } finally {
      await worker.kill();
      await shop[Symbol.asyncDispose]();
    }
  });
});
