/** A message that can't be read is kept, and whoever waits for its task is told. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TaskError, uid } from "../../mod.ts";
import type { WireMessage } from "../../runtime/protocol/wire_message.ts";
import { startTesting } from "../../runtime/testing.ts";
import { within } from "../conformance/patience.ts";
import { taskMessage } from "../conformance/transports/setting.ts";

/** What becomes of a message that is not what it should be. */
async function unreadable(more: Partial<WireMessage>): Promise<TaskError> {
  const { app, close } = await startTesting({ tasks: { math: { add: (x: number, y: number) => x + y } } });
  try {
    const id = uid();
    await (await app.transport()).publish([taskMessage("celery", id, more)]);
    const error = await within(10_000, app.AsyncResult(id).get({ propagate: false }), "what became of it");
    assert.ok(error instanceof TaskError, String(error));
    assert.equal((await app.dead.list()).length, 1);
    return error;
  } finally {
    await close();
  }
}

describe("a message that can't be read", () => {
  it("because it is pickled fails for its caller", async () => {
    const error = await unreadable({ contentType: "application/x-python-serialize" });
    assert.equal(error.type, "InvalidTaskError");
    assert.equal(error.module, "celery.exceptions");
    assert.match(error.message, /^the message can't be read: /);
  });

  it("because its body is broken fails for its caller", async () => {
    assert.match((await unreadable({ body: "[[1, 2]" })).message, /^the message can't be read: /);
  });
});
