/** Tasks in processes of their own, in a real worker. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import process from "node:process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { MemoryLimitExceeded, WorkerLostError } from "../../runtime/protocol/errors.ts";
import { eventually, within } from "../conformance/patience.ts";
import { logOf, marksIn, Workshop } from "./workshop.ts";

const APART = fileURLToPath(new URL("./apart_jobs.ts", import.meta.url));

function apartOf({ app }: Workshop) {
  return app.module<typeof import("./apart_jobs.ts")>("apart_jobs");
}

/** Whether a process runs; one that has ended and that nobody has asked about does not. */
async function runs(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  if (stat !== undefined) return !/^\d+ \(.*\) Z/.test(stat);
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe("tasks in processes of their own", () => {
  it("harm nobody by a crash or by the memory they take", async () => {
    const shop = await Workshop.open();
    const apart = apartOf(shop);
    try {
      const worker = await shop.worker("-A", APART, "-c", "2");
      const pid = await within(20_000, apart.pid(), "its process");
      assert.notEqual(pid, worker.pid);
      assert.equal(await shop.jobs.whoRan(), worker.pid);
      assert.equal(await apart.pid(), pid, "the next one finds the same process");
      const echoes = Array.from({ length: 50 }, (_, i) => shop.jobs.echo(i));
      await assert.rejects(within(20_000, apart.crash().get(), "the crash"), (error) => {
        assert.ok(error instanceof WorkerLostError);
        assert.match(error.message, /apart_jobs\.crash died: its process was ended by SIGKILL/);
        return true;
      });
      await assert.rejects(within(20_000, apart.hoard().get(), "the limit"), (error) => {
        assert.ok(error instanceof MemoryLimitExceeded);
        assert.match(
          error.message,
          /apart_jobs\.hoard took more memory than it may: its tasks may take 64 MB/,
        );
        return true;
      });
      assert.deepEqual(await Promise.all(echoes), [...echoes.keys()]);
      assert.notEqual(await within(20_000, apart.pid(), "the next process"), pid);
      assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 0 });
      assert.ok(logOf(worker).some(({ message }) => message.includes("was ended by SIGKILL")));
      assert.equal(await worker.stop(), 0);
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("are finished by a warm stop, and their processes end with it", async () => {
    const shop = await Workshop.open();
    const apart = apartOf(shop);
    try {
      const worker = await shop.worker("-A", APART, "-c", "1");
      const gate = shop.gate(), file = shop.file("marks");
      const held = apart.hold(file, gate.path);
      const [{ pid }] = await eventually(async () => {
        const marks = await marksIn(file);
        assert.equal(marks.length, 1);
        return marks;
      }, 20_000);
      worker.signal("SIGTERM");
      await gate.open();
      assert.equal(await within(10_000, held, "its result"), "let go");
      assert.equal(await worker.exited, 0);
      await eventually(async () => assert.equal(await runs(pid), false));
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("do not outlive a worker that is killed", async () => {
    const shop = await Workshop.open();
    const apart = apartOf(shop);
    try {
      const worker = await shop.worker("-A", APART, "-c", "1");
      const gate = shop.gate(), file = shop.file("marks");
      apart.hold(file, gate.path);
      const [{ pid }] = await eventually(async () => {
        const marks = await marksIn(file);
        assert.equal(marks.length, 1);
        return marks;
      }, 20_000);
      assert.equal(await runs(pid), true);
      await worker.kill();
      await eventually(async () => assert.equal(await runs(pid), false));
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });

  it("do not outlive a worker that is killed with words of theirs unread", async () => {
    const shop = await Workshop.open();
    const apart = apartOf(shop);
    try {
      const worker = await shop.worker("-A", APART, "-c", "1");
      const file = shop.file("marks");
      apart.talk(file);
      const marks = async (least: number) => {
        const all = await marksIn(file);
        assert.ok(all.length >= least);
        return all;
      };
      const [{ pid }] = await eventually(() => marks(1), 20_000);
      process.kill(worker.pid, "SIGSTOP");
      const { length } = await marks(1);
      await eventually(() => marks(length + 10));
      await worker.kill();
      await eventually(async () => assert.equal(await runs(pid), false));
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });
});
