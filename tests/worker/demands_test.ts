/** A worker whose tasks demand different things of their isolates, which are real ones. */
import assert from "node:assert/strict";
import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { type App, chunks, map, starmap, TaskError } from "../../mod.ts";
import { confinesIsolates } from "../../runtime/platform.ts";
import { eventually } from "../conformance/patience.ts";
import { setUp } from "./in_process.ts";

const CONFINED = confinesIsolates ? `permissions: "none"` : `memoryLimit: "1GB"`;

const TASKS = `
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { task } from ${JSON.stringify(new URL("../../mod.ts", import.meta.url).href)};
const endless = (mark?: string): Promise<never> => {
  if (mark !== undefined) writeFileSync(mark, "");
  return new Promise(() => {});
};
export const pid = () => process.pid;
export const pidApart = task({ isolation: "process" }, pid);
export const add = task({ ${CONFINED} }, (x: number, y: number) => x + y);
export const endlessHere = endless;
export const endlessApart = task({ isolation: "process" }, endless);
export const limited = task({ timeLimit: 0.5 }, endless);
export const limitedApart = task({ timeLimit: 0.5, isolation: "process" }, endless);
export const limitedConfined = task({ timeLimit: 0.5, ${CONFINED} }, () => endless());
export const read = task({ ${CONFINED} }, (file: string) => readFileSync(file, "utf8"));
export const there = (file: string) => existsSync(file);
`;

let folder = "", file = "", place: ReturnType<typeof setUp>, app: App;

before(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "celeriac-demands-")));
  file = join(folder, "tasks.ts");
  await writeFile(file, TASKS);
  place = setUp();
  app = place.app;
  await place.worker([file], { concurrency: 3 });
});
after(async () => {
  await place.close();
  await rm(folder, { recursive: true });
});

async function fails(result: PromiseLike<unknown>, type: string): Promise<void> {
  await assert.rejects(
    async () => await result,
    (error) => error instanceof TaskError && error.type === type,
  );
}

describe("a worker whose tasks demand different things", () => {
  it("runs each where its demands are met, however they are mixed", async () => {
    const results = await Promise.all(
      Array.from(
        { length: 10 },
        (
          _,
          i,
        ) => [app.sendTask("tasks.pid"), app.sendTask("tasks.pidApart"), app.sendTask("tasks.add", [i, i])],
      ).flat(),
    );
    for (let i = 0; i < 10; i++) {
      assert.equal(results[3 * i], process.pid);
      assert.notEqual(results[3 * i + 1], process.pid);
      assert.equal(results[3 * i + 2], 2 * i);
    }
  });

  it("calls a task many times where its demands are met", async () => {
    const [pids, sums, parts] = await Promise.all([
      starmap(app.signature<number>("tasks.pidApart"), [[], []]).delay(),
      starmap(app.signature<number>("tasks.add"), [[1, 2], [3, 4]]).delay(),
      chunks(app.signature<number>("tasks.add"), [[1, 2], [3, 4], [5, 6]], 2).delay(),
    ]);
    assert.deepEqual([pids.length, pids[0] === pids[1], pids[0] === process.pid], [2, true, false]);
    assert.deepEqual([sums, parts], [[3, 7], [[3, 7], [11]]]);
    await fails(map(app.signature("tasks.nothing"), [1]).delay(), "NotRegistered");
  });

  it("ends those that run too long, of whatever kind, and goes on", async () => {
    for (const name of ["limited", "limitedApart", "limitedConfined"]) {
      await fails(app.sendTask(`tasks.${name}`), "TimeLimitExceeded");
    }
    assert.equal(await app.sendTask("tasks.add", [1, 2]), 3);
    assert.equal(await app.sendTask("tasks.pid"), process.pid);
  });

  it("ends those that are revoked while they run, of whatever kind", async () => {
    for (const name of ["endlessHere", "endlessApart"]) {
      const mark = join(folder, name);
      const result = app.sendTask(`tasks.${name}`, [mark]);
      result.published.catch(() => {});
      const revoked = fails(result, "TaskRevokedError");
      await eventually(async () => assert.ok(await app.sendTask("tasks.there", [mark])));
      await app.control.terminate(result.id, { reply: true, destination: ["celery@test0"] });
      await revoked;
    }
  });

  it("renews isolates of all kinds", async () => {
    const other = setUp({ workerMaxTasksPerIsolate: 1 });
    try {
      await other.worker([file], { concurrency: 2 });
      const calls = [["tasks.pidApart", []], ["tasks.add", [1, 2]], ["tasks.pid", []]] as const;
      const results = await Promise.all(
        [...calls, ...calls].map(([name, args]) => other.app.sendTask(name, args)),
      );
      assert.deepEqual([results[1], results[2], results[4], results[5]], [3, process.pid, 3, process.pid]);
      assert.notEqual(results[0], results[3], "each process ran one");
    } finally {
      await other.close();
    }
  });

  if (confinesIsolates) {
    it("confines what is kept apart because its worker died, too", async () => {
      const suspect = app.sendTask("tasks.read", [file], {}, {
        headers: { celeriac_deliveries: 1, redelivered: true },
      });
      await fails(suspect, "NotCapable");
    });
  }
});
