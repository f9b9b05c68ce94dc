import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { memorySize, shownSize } from "../../runtime/isolate/memory_size.ts";

describe("a memory size", () => {
  for (
    const [written, bytes] of [
      ["256MB", 268435456],
      ["256 mb", 268435456],
      ["256MiB", 268435456],
      ["256m", 268435456],
      ["1.5GB", 1610612736],
      ["16384KB", 16777216],
      ["16777216", 16777216],
      [16777216, 16777216],
    ] as const
  ) {
    it(`of ${JSON.stringify(written)} is ${bytes} bytes`, () => assert.equal(memorySize(written), bytes));
  }

  for (const wrong of ["", "much", "1TB", "-1MB", "1MB", 0, -1, NaN, Infinity, "256MBs"]) {
    it(`is not ${JSON.stringify(wrong)}`, () => {
      assert.throws(() => memorySize(wrong), { name: "MemorySizeError", message: /write it as "256MB"/ });
    });
  }

  it("is shown in megabytes", () => assert.equal(shownSize(268435456), "256 MB"));
});
