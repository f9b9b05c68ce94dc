import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Ignore, outcomeOf, Reject, Retry, TaskError } from "../../runtime/protocol/errors.ts";

describe("what a task throws to say what becomes of it", () => {
  it("is recognized, across copies of the library too", () => {
    assert.equal(outcomeOf(new Ignore()), "ignore");
    assert.equal(outcomeOf(new Reject("no", true)), "reject");
    assert.equal(outcomeOf(new Retry()), "retry");
    assert.equal(outcomeOf({ [Symbol.for("celeriac.outcome")]: "ignore" }), "ignore");
  });

  it("is not seen in anything else", () => {
    const lookalike = Object.assign(new Error("x"), { name: "Retry" });
    for (const thrown of [undefined, null, "Ignore", 1, new Error("x"), new TaskError("x"), lookalike]) {
      assert.equal(outcomeOf(thrown), undefined);
    }
  });

  it("carries what is needed to do it", () => {
    assert.equal(new Reject().requeue, false);
    assert.equal(new Reject("no", true).requeue, true);
    const cause = new Error("inner");
    const retry = new Retry("later", { when: 5, cause });
    assert.deepEqual([retry.message, retry.when, retry.cause], ["later", 5, cause]);
    assert.equal(new Retry().when, null);
  });
});
