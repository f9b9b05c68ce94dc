/** Headers that are written in pieces are those that JSON.stringify would write. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeTask, type TaskCall } from "../../runtime/protocol/task_message.ts";
import { usualHeaders } from "../../runtime/protocol/usual_headers.ts";

const call: TaskCall = {
  task: "t",
  id: "an-id",
  args: [1, "a"],
  kwargs: {},
  queue: "celery",
  origin: "gen1@here",
};

/** The headers of a call, as they are and as they are written. */
function written(changes: Partial<TaskCall>): [headers: string, text: string | undefined] {
  const { headers } = encodeTask({ ...call, ...changes });
  return [JSON.stringify(headers), usualHeaders(headers)];
}

describe("the headers of a usual call", () => {
  it("are written as JSON.stringify writes them", () => {
    const usual: Partial<TaskCall>[] = [
      {},
      { args: [], kwargs: { a: "x", "b c": [1.5, null] } },
      { rootId: "root" },
      { rootId: "root", parentId: "root" },
      { rootId: "root", parentId: "parent", ignoreResult: true },
      { task: 'say "\\\n\u2028\ud800', id: "ä\u0000", origin: '"', args: ['"', "😀"] },
    ];
    for (const changes of usual) {
      const [headers, text] = written(changes);
      assert.equal(text, headers);
    }
  });

  it("are left alone where the call says anything else", () => {
    const others: Partial<TaskCall>[] = [
      { eta: 0 },
      { expires: 1 },
      { shadow: "s" },
      { retries: 1 },
      { timeLimit: [1, null] },
      { timeLimit: [null, 1] },
      { group: "g" },
      { groupIndex: 0 },
      { origin: undefined },
      { stamps: { a: 1 } },
      { stampedHeaders: [] },
      { replacedTaskNesting: 1 },
      { headers: { own: 1 } },
      { headers: { lang: "ts" } },
      { headers: { argsrepr: null } },
      { headers: { ignore_result: null } },
      { compression: "gzip" },
    ];
    for (const changes of others) assert.equal(written(changes)[1], undefined, JSON.stringify(changes));
    const { stamps: _, ...fewer } = encodeTask(call).headers;
    assert.equal(usualHeaders(fewer), undefined);
    assert.equal(usualHeaders({}), undefined);
  });
});
