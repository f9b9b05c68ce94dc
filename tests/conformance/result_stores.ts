/**
 * The one suite that every result store passes: how results are stored once, found again, expire, and reach those
 * who wait for them. What differs between stores is the harness's to say.
 */
import { describe, it } from "node:test";
import assert from "node:assert/strict";
import type { ResultStore, StoredResult } from "../../runtime/results/result_store.ts";
import { eventually, within } from "./patience.ts";

/** Opens stores of one kind for the suite. */
export interface ResultStoreHarness {
  /** A store with nothing in it. */
  open(): Promise<TestStore>;
}

/** One store, as several processes reach it. */
export interface TestStore {
  /** One more process's way to the store, connected. */
  connect(): Promise<ResultStore>;
  /** Lets time pass for the store and its processes. */
  pass(ms: number): Promise<void>;
  /** Closes all that was opened. */
  close(): Promise<void>;
}

/** A result as `protocol/result_meta.ts` writes it. */
export function storedResult(
  id: string,
  state: string,
  result: unknown = null,
  ttl: number = 86400,
): StoredResult {
  const text =
    `{"status": "${state}", "result": ${JSON.stringify(result)}, "traceback": null, "children": [], ` +
    `"date_done": "2026-01-01T00:00:00+00:00", "task_id": "${id}"}`;
  return { id, state, text, ttl };
}

/** Runs what every result store must do, against stores that `harness` opens. */
export function resultStoreSuite(name: string, harness: ResultStoreHarness): void {
  const test = (title: string, run: (store: TestStore) => Promise<void>) =>
    it(title, async () => {
      const store = await harness.open();
      try {
        await run(store);
      } finally {
        await store.close();
      }
    });

  describe(`result store ${name}: store and fetch`, () => {
    test("gives back what was stored, in step with the ids asked for", async (store) => {
      const worker = await store.connect();
      const caller = await store.connect();
      const results = ["a", "b", "c"].map((id) => storedResult(id, "SUCCESS", `value of ${id}`));
      await worker.store(results);
      assert.deepEqual(await caller.fetch(["c", "unknown", "a", "b", "a"]), [
        results[2].text,
        null,
        results[0].text,
        results[1].text,
        results[0].text,
      ]);
      assert.deepEqual(await caller.fetch([]), []);
    });

    test("storing nothing is harmless", async (store) => {
      const results = await store.connect();
      await results.store([]);
      await results.forget([]);
      assert.deepEqual(await results.fetch(["a"]), [null]);
    });

    test("keeps texts as they are", async (store) => {
      const results = await store.connect();
      const values = ["Grüße ✓ 🥕", '\u0000 \u0001 " \\ \n', "", "x".repeat(300_000), " \u2028 "];
      const stored = values.map((value, index) => storedResult(`t${index}`, "SUCCESS", value));
      await results.store(stored);
      assert.deepEqual(
        await results.fetch(stored.map((result) => result.id)),
        stored.map((result) => result.text),
      );
    });

    test("a later state replaces an earlier one", async (store) => {
      const results = await store.connect();
      for (const state of ["STARTED", "PROGRESS", "RETRY", "FAILURE", "STARTED", "SUCCESS"]) {
        await results.store([storedResult("a", state)]);
        assert.deepEqual(await results.fetch(["a"]), [storedResult("a", state).text]);
      }
    });

    test("a stored SUCCESS is never overwritten", async (store) => {
      const results = await store.connect();
      const other = await store.connect();
      const first = storedResult("a", "SUCCESS", "first");
      await results.store([first]);
      for (const state of ["STARTED", "FAILURE", "REVOKED", "RETRY", "SUCCESS"]) {
        await results.store([storedResult("a", state, "second")]);
        await other.store([storedResult("a", state, "third")]);
      }
      assert.deepEqual(await results.fetch(["a"]), [first.text]);
    });

    test("in one batch too, the first SUCCESS of a task stays", async (store) => {
      const results = await store.connect();
      await results.store([
        storedResult("a", "STARTED"),
        storedResult("b", "SUCCESS", "b"),
        storedResult("a", "SUCCESS", "first"),
        storedResult("a", "SUCCESS", "second"),
        storedResult("a", "FAILURE"),
      ]);
      assert.deepEqual(await results.fetch(["a", "b"]), [
        storedResult("a", "SUCCESS", "first").text,
        storedResult("b", "SUCCESS", "b").text,
      ]);
    });

    test("stores and finds a thousand at once", async (store) => {
      const results = await store.connect();
      const batch = Array.from({ length: 1000 }, (_, index) => storedResult(`m${index}`, "SUCCESS", index));
      await results.store(batch);
      assert.deepEqual(
        await results.fetch(batch.map((result) => result.id)),
        batch.map((result) => result.text),
      );
    });

    test("forgets what it is told to forget, and may store it again", async (store) => {
      const results = await store.connect();
      await results.store([storedResult("a", "SUCCESS", "old"), storedResult("b", "SUCCESS")]);
      await results.forget(["a", "unknown"]);
      assert.deepEqual(await results.fetch(["a", "b"]), [null, storedResult("b", "SUCCESS").text]);
      await results.store([storedResult("a", "SUCCESS", "new")]);
      assert.deepEqual(await results.fetch(["a"]), [storedResult("a", "SUCCESS", "new").text]);
    });

    test("drops a result when its time is over, not before, and may store it again", async (store) => {
      const results = await store.connect();
      await results.store([
        storedResult("short", "SUCCESS", "old", 2),
        storedResult("long", "SUCCESS", "long", 3600),
        storedResult("ever", "SUCCESS", "ever", 0),
      ]);
      await store.pass(500);
      assert.equal((await results.fetch(["short"]))[0], storedResult("short", "SUCCESS", "old").text);
      await store.pass(2_000);
      assert.deepEqual(await results.fetch(["short", "long", "ever"]), [
        null,
        storedResult("long", "SUCCESS", "long").text,
        storedResult("ever", "SUCCESS", "ever").text,
      ]);
      await results.store([storedResult("short", "FAILURE", "new", 60)]);
      assert.deepEqual(await results.fetch(["short"]), [storedResult("short", "FAILURE", "new").text]);
    });

    test("names the key under which a result stands", async (store) => {
      const results = await store.connect();
      assert.ok(results.keyOf("some-id").endsWith("celery-task-meta-some-id"));
    });

    test("shows no password in its name", async (store) => {
      const results = await store.connect();
      assert.notEqual(results.name, "");
      assert.doesNotMatch(results.name, /:\/\/[^@/]*:(?!\*\*@)[^@/]*@/);
    });
  });

  describe(`result store ${name}: watch`, () => {
    /** A watch that remembers what it heard: `ID STATE`. */
    function watching(results: ResultStore) {
      const heard: string[] = [];
      const watch = results.watch((id, text) => heard.push(`${id} ${JSON.parse(text).status}`));
      return { heard, watch };
    }
    const soon = 800;

    test("hears of what another process stores, without polling", async (store) => {
      const worker = await store.connect();
      const caller = await store.connect();
      const { heard, watch } = watching(caller);
      await watch.add(["a", "b"]);
      await worker.store([storedResult("a", "SUCCESS"), storedResult("c", "SUCCESS")]);
      await eventually(() => assert.ok(heard.includes("a SUCCESS")), soon);
      await worker.store([storedResult("b", "FAILURE")]);
      await eventually(() => assert.ok(heard.includes("b FAILURE")), soon);
      assert.ok(!heard.includes("c SUCCESS"));
      await watch[Symbol.asyncDispose]();
    });

    test("hears of what its own process stores", async (store) => {
      const results = await store.connect();
      const { heard, watch } = watching(results);
      await watch.add(["a"]);
      await results.store([storedResult("a", "SUCCESS")]);
      await eventually(() => assert.ok(heard.includes("a SUCCESS")), soon);
      await watch[Symbol.asyncDispose]();
    });

    test("has heard of what was stored before when add resolves", async (store) => {
      const worker = await store.connect();
      const caller = await store.connect();
      await worker.store([storedResult("a", "SUCCESS"), storedResult("b", "STARTED")]);
      const { heard, watch } = watching(caller);
      await Promise.all([watch.add(["a"]), watch.add(["b", "c"])]);
      assert.deepEqual([...heard].sort(), ["a SUCCESS", "b STARTED"]);
      await watch[Symbol.asyncDispose]();
    });

    test("hears of one state after the other", async (store) => {
      const worker = await store.connect();
      const caller = await store.connect();
      const { heard, watch } = watching(caller);
      await watch.add(["a"]);
      for (const state of ["STARTED", "PROGRESS", "SUCCESS"]) {
        await worker.store([storedResult("a", state)]);
        await eventually(() => assert.equal(heard.at(-1), `a ${state}`), soon);
      }
      await watch[Symbol.asyncDispose]();
    });

    test("hears of a second life of an id that was forgotten", async (store) => {
      const worker = await store.connect();
      const caller = await store.connect();
      const { heard, watch } = watching(caller);
      await watch.add(["a"]);
      await worker.store([storedResult("a", "SUCCESS")]);
      await eventually(() => assert.equal(heard.at(-1), "a SUCCESS"), soon);
      await worker.forget(["a"]);
      await worker.store([storedResult("a", "FAILURE")]);
      await eventually(() => assert.equal(heard.at(-1), "a FAILURE"), soon);
      await watch[Symbol.asyncDispose]();
    });

    test("misses nothing of many that are stored while ids are added", async (store) => {
      const worker = await store.connect();
      const caller = await store.connect();
      const { heard, watch } = watching(caller);
      const ids = Array.from({ length: 600 }, (_, index) => `m${index}`);
      const storing = (async () => {
        for (let at = 0; at < ids.length; at += 20) {
          await worker.store(ids.slice(at, at + 20).map((id) => storedResult(id, "SUCCESS")));
          await new Promise<void>((resolve) => setImmediate(resolve));
        }
      })();
      for (let at = 0; at < ids.length; at += 30) await watch.add(ids.slice(at, at + 30));
      await storing;
      await eventually(() => assert.equal(new Set(heard).size, ids.length));
      await watch[Symbol.asyncDispose]();
    });

    test("hears no more of what it stopped watching, nor after it is closed", async (store) => {
      const results = await store.connect();
      const { heard, watch } = watching(results);
      await watch.add(["a", "b"]);
      watch.remove(["a", "unknown"]);
      await results.store([storedResult("a", "SUCCESS")]);
      await results.store([storedResult("b", "STARTED")]);
      await eventually(() => assert.ok(heard.includes("b STARTED")), soon);
      await watch[Symbol.asyncDispose]();
      await watch[Symbol.asyncDispose]();
      const probe = watching(results);
      await probe.watch.add(["b"]);
      await results.store([storedResult("b", "SUCCESS")]);
      await eventually(() => assert.ok(probe.heard.includes("b SUCCESS")), soon);
      assert.ok(!heard.includes("a SUCCESS"));
      assert.ok(!heard.includes("b SUCCESS"));
      await probe.watch[Symbol.asyncDispose]();
    });

    test("two watches of one process hear what is theirs", async (store) => {
      const results = await store.connect();
      const first = watching(results);
      const second = watching(results);
      await first.watch.add(["a", "both"]);
      await second.watch.add(["b", "both"]);
      await results.store(["a", "b", "both"].map((id) => storedResult(id, "SUCCESS")));
      await eventually(() => {
        assert.deepEqual([...new Set(first.heard)].sort(), ["a SUCCESS", "both SUCCESS"]);
        assert.deepEqual([...new Set(second.heard)].sort(), ["b SUCCESS", "both SUCCESS"]);
      }, soon);
      await first.watch[Symbol.asyncDispose]();
      await second.watch[Symbol.asyncDispose]();
    });

    test("closing the store closes its watches", async (store) => {
      const results = await store.connect();
      const { watch } = watching(results);
      await watch.add(["a"]);
      await within(5_000, results[Symbol.asyncDispose](), "the store's end");
      await results[Symbol.asyncDispose]();
      await watch[Symbol.asyncDispose]();
    });
  });
}
