/** Ids of tasks that are not to run any more, where the broker can keep them. */
import assert from "node:assert/strict";
import type { RevokedIds } from "../../../runtime/transport/revoked_ids.ts";
import type { Test } from "./setting.ts";

const BOUNDS = { seconds: 3600, most: 100 };

async function all(revoked: RevokedIds): Promise<string[]> {
  return [...(await revoked.read()).ids].sort();
}

export function revoked(test: Test): void {
  test("revoked ids are kept for all, or the broker says that it can't keep them", async (broker) => {
    const { transport: one } = await broker.connect();
    const { transport: other } = await broker.connect();
    if (one.revoked === undefined || other.revoked === undefined) return assert.equal(one.urgentPriority, 9);
    assert.deepEqual(await all(other.revoked), []);
    await one.revoked.add(["a", "b"], BOUNDS);
    await one.revoked.add(["b", "c"], BOUNDS);
    const look = await other.revoked.read();
    assert.deepEqual([...look.ids].sort(), ["a", "b", "c"]);
    assert.equal(look.count, 3);
    await one.revoked.add(["d"], BOUNDS);
    const next = await other.revoked.read(look.cursor);
    assert.ok(next.ids.includes("d"));
    assert.equal(next.count, 4);
    await other.revoked.remove(["a", "unknown"]);
    assert.deepEqual(await all(one.revoked), ["b", "c", "d"]);
  });

  test("of revoked ids the newest are kept, and none for longer than it shall be", async (broker) => {
    const { revoked } = (await broker.connect()).transport;
    if (revoked === undefined) return;
    for (let i = 0; i < 5; i++) {
      await revoked.add([`id-${i}`], { seconds: 3600, most: 3 });
      await broker.pass(5);
    }
    assert.deepEqual(await all(revoked), ["id-2", "id-3", "id-4"]);
    await broker.pass(60);
    await revoked.add(["new"], { seconds: 0.05, most: 3 });
    assert.deepEqual(await all(revoked), ["new"]);
  });
}
