/** What a worker knows of revoked tasks: kept for others and for its own next start, bounded, and forgotten in time. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { MemoryRevokedIds } from "../../runtime/transport/memory/revoked_ids.ts";
import type { RevokedIds } from "../../runtime/transport/revoked_ids.ts";
import { Revokes, type RevokesOptions } from "../../runtime/worker/revokes.ts";
import { FakeClock } from "../fake_clock.ts";

const HOUR = 3_600_000;

/** Where ids are kept, and workers that read it, in fake time. */
function world() {
  const clock = new FakeClock();
  const kept = new MemoryRevokedIds(new Map(), clock);
  const troubles: (string | undefined)[] = [];
  const revokes = (options: Partial<RevokesOptions> = {}) =>
    new Revokes({
      kept,
      file: null,
      bounds: { seconds: 86_400, most: 100 },
      comesAgainWithin: 3_600,
      clock,
      ended: () => Promise.resolve([]),
      trouble: (why) => troubles.push(why),
      ...options,
    });
  return { clock, kept, troubles, revokes };
}

describe("revoked tasks, as a worker knows them", () => {
  it("are none at first, and what is added holds at once", async () => {
    const { revokes } = world();
    const one = revokes();
    await one.open();
    assert.equal(one.size, 0);
    const added = one.add(["a"]);
    assert.ok(one.has("a"));
    await added;
    assert.deepEqual(one.ids, ["a"]);
    await one.close();
  });

  it("are known to a worker that starts later, and soon to one that did not hear of them", async () => {
    const { clock, revokes } = world();
    const [one, other] = [revokes(), revokes()];
    await other.open();
    await one.open();
    await one.add(["a", "b"]);
    const late = revokes();
    await late.open();
    assert.deepEqual(late.ids, ["a", "b"]);
    assert.equal(other.size, 0);
    await clock.advance(30_000);
    assert.deepEqual(other.ids, ["a", "b"]);
    for (const each of [one, other, late]) await each.close();
    assert.equal(clock.pending, 0);
  });

  it("are forgotten by all some time after their message was dropped", async () => {
    const { clock, kept, revokes } = world();
    const [one, other] = [revokes(), revokes()];
    await one.open();
    await other.open();
    await one.add(["a", "b"]);
    one.took("a");
    await clock.advance(HOUR - 60_000);
    assert.deepEqual(other.ids, ["a", "b"]);
    await clock.advance(120_000);
    assert.deepEqual(one.ids, ["b"]);
    assert.deepEqual(other.ids, ["b"]);
    assert.deepEqual((await kept.read()).ids, ["b"]);
    await one.close();
    await other.close();
  });

  it("are not kept of tasks that have ended by themselves", async () => {
    const { kept, revokes } = world();
    const one = revokes({ ended: (ids) => Promise.resolve(ids.filter((id) => id === "done")) });
    await one.open();
    await one.add(["done", "waits"]);
    assert.deepEqual(one.ids, ["waits"]);
    assert.deepEqual((await kept.read()).ids, ["waits"]);
    await one.close();
  });

  it("are bounded: the newest are kept", async () => {
    const { revokes } = world();
    const one = revokes({ bounds: { seconds: 86_400, most: 3 } });
    await one.open();
    for (const id of ["a", "b", "c", "a", "d"]) await one.add([id]);
    assert.deepEqual(one.ids, ["c", "a", "d"]);
    await one.close();
  });

  it("hold while they can't be kept, which is said once, and are kept later", async () => {
    const { clock, kept, troubles, revokes } = world();
    let isAway = true;
    const shaky: RevokedIds = {
      add: (...given) => isAway ? Promise.reject(new Error("away")) : kept.add(...given),
      remove: (ids) => kept.remove(ids),
      read: () => kept.read(),
    };
    const one = revokes({ kept: shaky });
    await one.open();
    await one.add(["a"]);
    await one.add(["b"]);
    assert.deepEqual(one.ids, ["a", "b"]);
    assert.deepEqual(troubles, ["away"]);
    isAway = false;
    await clock.advance(30_000);
    assert.deepEqual((await kept.read()).ids, ["a", "b"]);
    assert.deepEqual(troubles, ["away", undefined]);
    await one.close();
  });

  it("stand in a file of the worker's own where nothing else can keep them, made when there is need", async () => {
    const folder = await mkdtemp(join(tmpdir(), "celeriac-revokes-"));
    try {
      const file = join(folder, "state.db");
      const { revokes } = world();
      const before = revokes({ kept: undefined, file });
      await before.open();
      assert.ok(!existsSync(file));
      await before.add(["a"]);
      await before.close();
      const after = revokes({ kept: undefined, file });
      await after.open();
      assert.deepEqual(after.ids, ["a"]);
      await after.close();
      const none = revokes({ kept: undefined });
      await none.open();
      await none.add(["a"]);
      assert.deepEqual(none.ids, ["a"]);
      await none.close();
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
