/** What a confined isolate says is believed of the tasks that are in it alone. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { RelayRequest } from "../../runtime/channel/relay.ts";
import { type LogReport, Report } from "../../runtime/isolate/isolate.ts";
import type { RecallRequest } from "../../runtime/isolate/recollection.ts";
import type { EndedPart, Following } from "../../runtime/protocol/chord.ts";
import { encodeEnvelope } from "../../runtime/protocol/envelope.ts";
import { encodeTask } from "../../runtime/protocol/task_message.ts";
import type { Delivery } from "../../runtime/transport/transport.ts";
import { guarded } from "../../runtime/worker/guarded.ts";
import { callOf } from "../../runtime/workflow/compose.ts";
import type { PoolListener } from "../../runtime/worker/pool_listener.ts";

const next = { ...callOf("t.g"), options: { task_id: "next" } };
const message = encodeTask({ id: "own", task: "t.f", args: [], kwargs: {}, queue: "q", chain: [next] });
const delivery: Delivery = { tag: 1, queue: "q", text: encodeEnvelope(message) };

function setUp() {
  const told = {
    finished: [] as unknown[][],
    states: [] as string[],
    requests: [] as (RelayRequest | RecallRequest)[],
    log: [] as LogReport[],
    closed: 0,
  };
  const nothing = () => {};
  const listener: PoolListener = {
    finished: (_delivery, ...report) => void told.finished.push(report),
    reported: nothing,
    state: ([id]) => void told.states.push(id),
    log: (line) => void told.log.push(line),
    relay: () => ({ hear: (request) => void told.requests.push(request), close: () => void told.closed++ }),
    handBack: nothing,
    interrupted: nothing,
    overLimit: nothing,
    died: nothing,
    restartFailed: nothing,
  };
  return { told, guard: guarded(listener, (id) => id === "own" ? delivery.text : undefined) };
}

describe("a confined isolate", () => {
  it("is heard when it speaks of its tasks", () => {
    const { told, guard } = setUp();
    guard.finished(delivery, Report.SUCCESS, "own", "{}", 60, { messages: [message] });
    guard.finished(delivery, Report.DEAD, "", "", "unreadable");
    guard.state(["own", "PROGRESS", "{}", 60, undefined]);
    guard.state(["next", "FAILURE", "{}", 60, undefined, "own"]);
    const requests: (RelayRequest | RecallRequest)[] = [
      { kind: "take", run: 1, id: "own" },
      { kind: "recall", run: 1, id: "own" },
      { kind: "finish", run: 1, ends: true, heard: 0, unread: 0 },
    ];
    const line = guard.relay(() => {});
    for (const request of requests) line.hear(request);
    line.close();
    assert.deepEqual(told, {
      finished: [[Report.SUCCESS, "own", "{}", 60, { messages: [message] }], [
        Report.DEAD,
        "",
        "",
        "unreadable",
        undefined,
      ]],
      states: ["own", "next"],
      requests,
      log: [],
      closed: 1,
    });
  });

  it("ends the parts of chords that its tasks are, and no others", () => {
    const { told, guard } = setUp();
    const body = callOf("t.body");
    const call = {
      id: "own",
      task: "t.f",
      args: [],
      kwargs: {},
      queue: "q",
      group: "g",
      groupIndex: 0,
      chord: body,
    };
    const part = (groupId: string, taskId: string): EndedPart => ({
      ...{ groupId, taskId, index: 7, text: "[]", ttl: 60, rootId: "own", redelivered: false },
      body: callOf("t.forged"),
    });
    const extended = [{ groupId: "g", taskIds: ["more"], ttl: 60 }, { groupId: "h", taskIds: [], ttl: 60 }];
    const parts = [part("g", "own"), part("g", "other"), part("h", "own")];
    guard.finished(
      { ...delivery, text: encodeEnvelope(encodeTask(call)) },
      Report.SUCCESS,
      "own",
      "{}",
      60,
      { messages: [message], extended, parts },
    );
    const following = told.finished[0][4] as Following;
    assert.deepEqual(following.extended, extended.slice(0, 1));
    assert.deepEqual(
      following.parts!.map(({ groupId, taskId, index, body }) => [groupId, taskId, index, body.task]),
      [["g", "own", 0, "t.body"]],
    );
    assert.equal(told.log.length, 3);
  });

  it("is not believed when it speaks of others, and that is logged", () => {
    const { told, guard } = setUp();
    guard.finished(delivery, Report.SUCCESS, "other", "{}", 60);
    guard.state(["other", "SUCCESS", "{}", 60, undefined]);
    guard.state(["other", "FAILURE", "{}", 60, undefined, "own"]);
    guard.state(["own", "FAILURE", "{}", 60, undefined, "other"]);
    const line = guard.relay(() => {});
    line.hear({ kind: "take", run: 1, id: "other" });
    line.hear({ kind: "take", run: 1, id: "own" });
    line.hear({ kind: "take", run: 1, id: "other" });
    line.hear({ kind: "recall", run: 2, id: "other" });
    assert.deepEqual(told.finished, [
      [Report.DEAD, "own", "", "its isolate told the result of another task"],
    ]);
    assert.deepEqual(told.states, []);
    assert.deepEqual(told.requests, [{ kind: "take", run: 1, id: "own" }]);
    assert.equal(told.log.length, 7);
    for (const { level, text } of told.log) {
      assert.match(`${level}: ${text}`, /^warning: Ignored .* has forged it\.$/);
    }
  });
});
