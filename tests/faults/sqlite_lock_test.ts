import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { runtimeName } from "../../runtime/platform.ts";
import { eventually, within } from "../conformance/patience.ts";
import { setUp } from "../worker/in_process.ts";
import { JOBS, marksIn, Workshop } from "../worker/workshop.ts";

const HELD_MS = 2_000;
const HOLDER = fileURLToPath(new URL("./lock_holder.ts", import.meta.url));

/** Another process takes the lock; the result makes it let go. */
async function lock(shop: Workshop): Promise<() => Promise<void>> {
  const args = runtimeName === "deno" ? ["run", "-A", "--no-check"] : [];
  const path = shop.broker.replace("sqlite:", "");
  const holder = spawn(process.execPath, [...args, HOLDER, path], { stdio: ["pipe", "pipe", "inherit"] });
  await within(10_000, once(holder.stdout!, "data"), "the other process's lock");
  return async () => {
    const ended = once(holder, "close");
    holder.stdin!.end();
    assert.deepEqual(await ended, [0, null]);
  };
}

const pass = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

describe(`an SQLite file that another process keeps locked for ${HELD_MS / 1000} s`, () => {
  it("holds up no timer of a worker's main thread, and nothing is lost", async () => {
    const shop = await Workshop.open();
    const { worker, app, close } = setUp({}, shop.broker);
    try {
      await worker([JOBS]);
      const jobs = app.module<typeof import("../worker/jobs.ts")>("jobs");
      const gate = shop.gate(), file = shop.file("marks");
      const held = jobs.markAndHold(file, gate.path);
      await eventually(async () => assert.equal((await marksIn(file)).length, 1));
      const release = await lock(shop);

      let last = performance.now(), longest = 0;
      const ticking = setInterval(() => {
        const now = performance.now();
        longest = Math.max(longest, now - last);
        last = now;
      }, 5);
      // All that a worker and a client want of the file meanwhile: settle, fetch, publish, watch.
      await gate.open();
      const sent = Array.from({ length: 100 }, (_, i) => jobs.echo(i));
      await pass(HELD_MS);
      clearInterval(ticking);
      console.log(`the longest gap of a timer of 5 ms while the file was locked: ${longest.toFixed(0)} ms`);
      assert.ok(longest < HELD_MS / 4, `no timer ran for ${longest.toFixed(0)} ms`);

      await release();
      assert.equal(await within(5_000, held, "what ran"), "let go");
      assert.deepEqual(await within(5_000, Promise.all(sent), "what was sent"), [...sent.keys()]);
      assert.equal((await marksIn(file)).length, 1);
    } finally {
      await close();
      await shop[Symbol.asyncDispose]();
    }
  });

  it("keeps no worker from hearing a signal, which settles what it ran once it can", async () => {
    const shop = await Workshop.open();
    try {
      const worker = await shop.worker("-c", "1");
      const gate = shop.gate();
      const held = shop.jobs.hold(gate.path);
      await within(5_000, worker.line(/"message":"holding/), "the start of its task");
      const release = await lock(shop);
      await gate.open();
      await within(5_000, worker.line(/jobs\.hold.*succeeded/), "the end of its task");
      worker.signal("SIGTERM");
      await within(1_000, worker.line(/SIGTERM: finishing/), "its word");
      await pass(HELD_MS);
      await release();
      assert.equal(await within(5_000, worker.exited, "its end"), 0);
      assert.equal(await held.status, "SUCCESS");
      assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 0 });
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  });
});
