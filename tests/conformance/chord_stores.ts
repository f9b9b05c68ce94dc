/** The one suite that every store of chords and groups passes: a part counts once, exactly one completes, nothing leaks. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ChordPart, ChordStore, GroupStore } from "../../runtime/results/chord_store.ts";
import type { ResultStoreHarness, TestStore } from "./result_stores.ts";

const TTL = 3600;

/** A part as Celery writes it. */
export function part(groupId: string, index: number | null, value: unknown = index, ttl = TTL): ChordPart {
  const taskId = `${groupId}-task${index}`;
  return {
    groupId,
    taskId,
    index,
    text: `[1, "${taskId}", "SUCCESS", ${JSON.stringify(value)}]`,
    ttl,
  };
}

/** Runs what every such store must do, against stores that `harness` opens. */
export function chordStoreSuite(name: string, harness: ResultStoreHarness): void {
  const test = (title: string, run: (chords: () => Promise<ChordStore>, store: TestStore) => Promise<void>) =>
    it(title, async () => {
      const store = await harness.open();
      try {
        await run(async () => (await store.connect()).chords!, store);
      } finally {
        await store.close();
      }
    });

  describe(`chord store ${name}`, () => {
    test("the part that completes a chord is told so, and the others wait", async (open) => {
      const [one, other] = [await open(), await open()];
      await one.begin([{ groupId: "g", size: 3, ttl: TTL }]);
      assert.deepEqual(await one.count([part("g", 2)]), ["waiting"]);
      assert.deepEqual(await other.count([part("g", 0), part("g", 1)]), ["waiting", "complete"]);
      assert.deepEqual(await one.parts("g"), [0, 1, 2].map((i) => part("g", i).text));
    });

    test("several chords are counted together, in step", async (open) => {
      const chords = await open();
      await chords.begin([{ groupId: "a", size: 2, ttl: TTL }, { groupId: "b", size: 1, ttl: 0 }]);
      const parts = [part("a", 0), part("b", 0, "x", 0), part("none", 0), part("a", 1)];
      assert.deepEqual(await chords.count(parts), ["waiting", "complete", "unknown", "complete"]);
      assert.deepEqual(await chords.count([]), []);
      assert.deepEqual(await chords.parts("b"), [part("b", 0, "x").text]);
    });

    test("a part counts once, and its first outcome stays", async (open) => {
      const chords = await open();
      await chords.begin([{ groupId: "g", size: 2, ttl: TTL }]);
      assert.deepEqual(await chords.count([part("g", 0, "first")]), ["waiting"]);
      assert.deepEqual(await chords.count([part("g", 0, "second"), part("g", 0, "third")]), [
        "waiting",
        "waiting",
      ]);
      assert.deepEqual(await chords.count([part("g", 1)]), ["complete"]);
      assert.deepEqual(await chords.parts("g"), [part("g", 0, "first").text, part("g", 1).text]);
    });

    test("a task that stands at two places counts at each", async (open) => {
      const chords = await open();
      await chords.begin([{ groupId: "g", size: 2, ttl: TTL }]);
      const twice = [0, 1].map((index) => ({ ...part("g", index), taskId: "same" }));
      assert.deepEqual(await chords.count(twice), ["waiting", "complete"]);
    });

    test("what is complete stays so until its end, and is sent from then on", async (open) => {
      const [one, other] = [await open(), await open()];
      await one.begin([{ groupId: "g", size: 1, ttl: TTL }]);
      assert.deepEqual(await one.count([part("g", 0)]), ["complete"]);
      assert.deepEqual(await other.count([part("g", 0, "again")]), ["complete"]);
      await one.end([{ groupId: "g", ttl: TTL }]);
      assert.deepEqual(await other.count([part("g", 0), part("g", 1)]), ["sent", "sent"]);
      assert.deepEqual(await other.parts("g"), []);
      await one.end([{ groupId: "g", ttl: TTL }]);
    });

    test("to begin once more changes nothing, neither before nor after the end", async (open) => {
      const chords = await open();
      const start = { groupId: "g", size: 2, ttl: TTL };
      await chords.begin([start]);
      await chords.count([part("g", 0)]);
      await chords.begin([start]);
      assert.deepEqual(await chords.count([part("g", 1)]), ["complete"]);
      await chords.end([{ groupId: "g", ttl: TTL }]);
      await chords.begin([start]);
      assert.deepEqual(await chords.count([part("g", 0)]), ["sent"]);
    });

    test("added parts are waited for, each once", async (open) => {
      const chords = await open();
      await chords.begin([{ groupId: "g", size: 1, ttl: TTL }]);
      const more = { groupId: "g", taskIds: ["g-task1", "g-task2"], ttl: TTL };
      await chords.extend([more]);
      await chords.extend([more, { groupId: "none", taskIds: ["x"], ttl: TTL }]);
      assert.deepEqual(await chords.count([0, 1, 2].map((i) => part("g", i))), [
        "waiting",
        "waiting",
        "complete",
      ]);
      assert.deepEqual(await chords.count([part("none", 0)]), ["unknown"]);
    });

    test("parts without an index stand behind the others", async (open) => {
      const chords = await open();
      await chords.begin([{ groupId: "g", size: 3, ttl: TTL }]);
      await chords.count([part("g", null), part("g", 10), part("g", 9)]);
      assert.deepEqual(await chords.parts("g"), [9, 10, null].map((i) => part("g", i).text));
    });

    test("of parts that are counted at once by many, one completes", async (open) => {
      const stores = await Promise.all(Array.from({ length: 4 }, open));
      await stores[0].begin([{ groupId: "g", size: 100, ttl: TTL }]);
      const counts = await Promise.all(
        Array.from({ length: 100 }, (_, i) => stores[i % stores.length].count([part("g", i)])),
      );
      assert.equal(counts.flat().filter((count) => count === "complete").length, 1);
      assert.equal((await stores[1].parts("g")).length, 100);
    });

    test("a chord of thousands of parts is counted in one go", async (open) => {
      const chords = await open();
      const size = 3_000;
      await chords.begin([{ groupId: "g", size, ttl: TTL }]);
      const parts = Array.from({ length: size }, (_, i) => part("g", size - 1 - i));
      const counts = await chords.count(parts);
      assert.deepEqual(counts.filter((count) => count !== "waiting"), ["complete"]);
      assert.deepEqual(await chords.parts("g"), parts.map(({ text }) => text).reverse());
    });

    test(
      "a chord is kept for as long as its parts say, and the mark that it was sent, too",
      async (open, store) => {
        const chords = await open();
        await chords.begin([{ groupId: "g", size: 2, ttl: TTL }, { groupId: "h", size: 1, ttl: TTL }]);
        await chords.count([part("h", 0, 0)]);
        await chords.end([{ groupId: "h", ttl: 1 }]);
        assert.deepEqual(await chords.count([part("g", 0, 0, 1)]), ["waiting"]);
        await store.pass(1100);
        assert.deepEqual(await chords.count([part("g", 1), part("h", 0)]), ["unknown", "unknown"]);
      },
    );

    test("groups are saved, found and dropped", async (_, store) => {
      const groups = async (): Promise<GroupStore> => (await store.connect()).groups!;
      const [one, other] = [await groups(), await groups()];
      const text = '{"result": [["g", null], [[["a", null], null]]]}';
      assert.equal(await one.restore("g"), null);
      await one.save("g", text, 1);
      await one.save("for ever", text, 0);
      assert.equal(await other.restore("g"), text);
      await store.pass(1100);
      assert.equal(await other.restore("g"), null);
      assert.equal(await other.restore("for ever"), text);
      await one.delete("for ever");
      assert.equal(await other.restore("for ever"), null);
    });

    test("the header of a chord that is begun with one is saved", async (open, store) => {
      const chords = await open();
      await chords.begin([{ groupId: "g", size: 1, ttl: TTL, group: "{}" }]);
      await chords.count([part("g", 0)]);
      await chords.end([{ groupId: "g", ttl: TTL }]);
      assert.equal(await (await store.connect()).groups!.restore("g"), "{}");
    });
  });
}
