/** Workers follow what a message carries: callbacks, error callbacks, chains, groups. In the test's own process. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  App,
  type AsyncResult,
  chain,
  chord,
  chunks,
  group,
  GroupResult,
  map,
  type Signature,
  signatureFromJson,
  starmap,
  task,
  type TaskContext,
  TaskError,
  uid,
} from "../../mod.ts";
import { encodeTask } from "../../runtime/protocol/task_message.ts";
import { secondCopy } from "../../runtime/protocol/wire_message.ts";
import { swapDefaultApp } from "../../runtime/client/task.ts";
import { messageOf } from "../../runtime/workflow/message.ts";
import { planCall } from "../../runtime/workflow/plan.ts";
import { oneWorker } from "./one_worker.ts";

const seen: unknown[] = [];
const t = {
  add: (x: number, y: number) => x + y,
  same: (value: unknown) => value,
  double: async (x: number) => (await Promise.resolve(), 2 * x),
  sum: (values: number[]) => values.reduce((a, b) => a + b, 0),
  note: (...what: unknown[]) => void seen.push(what),
  fail: (word: string): never => {
    throw new RangeError(word);
  },
  heard: (request: TaskContext, error: Error, trace: string | null) => {
    seen.push([request.id, String(error), /RangeError/.test(trace!)]);
  },
  deaf: (_request: TaskContext, _error: unknown) => {
    throw new Error("cannot hear");
  },
  flaky: (x: number) => {
    if (++runs === 1) throw new Error("the first time");
    return x;
  },
  told: (id: string) => void seen.push(["told", id]),
  who: task({ bind: true }, (ctx) => [ctx.id, ctx.parentId, ctx.rootId, ctx.group]),
  place: task({ bind: true }, (ctx, ..._: unknown[]) => ({
    place: [ctx.groupIndex, ctx.chord?.task ?? null, ctx.stamps, ctx.replacedTaskNesting],
    after: [ctx.chain, ctx.callbacks, ctx.errbacks].map((each) => each?.map(({ task }) => task) ?? null),
    call: [ctx.ignoreResult, ctx.shadow, /^gen\d+@/.test(ctx.origin!)],
  })),
  again: task({ bind: true }, (ctx, x: number) => {
    if (ctx.retries < 2) throw ctx.retry({ countdown: 0 });
    return x;
  }),
};

/** A workflow's plan, and what is published of it. */
function planned(signature: Signature<[], unknown, unknown>) {
  const plan = planCall(signature.toJSON(), { newId: uid });
  const messages = plan.calls.map((call) =>
    messageOf(call, {
      settings: worker.open.app.settings,
      origin: undefined,
      now: 0,
      route: () => null,
      defaultsOf: () => undefined,
    })
  );
  return { plan, messages };
}

let runs = 0;
const worker = oneWorker(t);
function start() {
  seen.length = 0;
  return worker.start();
}

describe("a chain", () => {
  it("runs step by step, each with the result of the one before", async () => {
    const { f } = await start();
    const result = chain(f.add.s(1, 2), f.double.s(), f.add.s(10)).delay();
    assert.equal(await result, 16);
    assert.equal(await result.parent, 6);
    assert.equal(await result.parent!.parent, 3);
    assert.equal(result.parent!.parent!.parent, undefined);
  });

  it("keeps root and parent, and its ids were known when it was called", async () => {
    const { f, app } = await start();
    const result = chain(
      f.add.si(1, 2),
      f.who.si(),
      app.signature<unknown[]>("t.who", [], {}, { immutable: true }),
    )
      .applyAsync({ taskId: "last" });
    const second = result.parent!, first = second.parent!;
    assert.deepEqual(await result, ["last", second.id, first.id, null]);
    assert.deepEqual(await second, [second.id, first.id, first.id, null]);
    const meta = (await app.AsyncResult(first.id).meta())!;
    assert.deepEqual(meta.children, [[[second.id, null], null]]);
    const [child] = await app.AsyncResult(first.id).children;
    assert.deepEqual(await child, [second.id, first.id, first.id, null]);
  });

  it("tells each task where it stands, and what comes after it", async () => {
    const { f } = await start();
    const marked = f.place.s().set({ shadow: "shown" }).link(f.note.s()).linkError(f.told.s());
    const result = chain(marked.stamp({ customer: "c1" }), f.note.s(), f.note.s()).delay();
    const values = (await result.parent!.parent!.get()) as unknown;
    assert.deepEqual(values, {
      place: [null, null, { customer: "c1" }, 0],
      after: [["t.note", "t.note"], ["t.note"], ["t.told"]],
      call: [false, "shown", true],
    });
    const parts = chord([f.place.s(), f.place.s()], f.note.s()).delay().parent as GroupResult;
    const [, second] = await parts as unknown as { place: unknown }[];
    assert.deepEqual(second.place, [1, "t.note", {}, 0]);
  });

  it("of one step is that step, and arguments of the call come first", async () => {
    const { f } = await start();
    assert.equal(await chain(f.add.s(4)).delay(3), 7);
    assert.equal(await chain(f.add.s(4), f.double.s()).applyAsync({ args: [3] }), 14);
  });

  it("that is cloned with arguments hands them to its first step, as does one of Python's that has some", async () => {
    const { f, app } = await start();
    const steps = chain(f.add.s(4), f.double.s());
    assert.equal(await steps.clone({ args: [3] }).delay(), 14);
    assert.equal(await signatureFromJson({ ...steps.toJSON(), args: [3] }, app).delay(), 14);
    assert.deepEqual(await group([f.add.s(4), f.double.s()]).clone({ args: [3] }).delay(), [7, 6]);
    assert.equal(await chord([f.add.s(4), f.double.s()], f.sum.s()).clone({ args: [3] }).delay(), 13);
  });

  it("that is made immutable takes nothing from the step before it, and neither do the parts of a group", async () => {
    const { f } = await start();
    const fixed = chain(f.add.s(4, 5), f.double.s()).set({ immutable: true });
    assert.equal(await chain(f.add.s(1, 2), fixed).delay(), 18);
    const both = group([f.add.s(4, 5), f.double.s(1)]).set({ immutable: true });
    assert.deepEqual(await chain(f.add.s(1, 2), both).delay(), [9, 2]);
  });

  it("goes through the app of a part that has one, not the default one", async () => {
    const { f } = await start();
    const before = swapDefaultApp(undefined);
    assert.equal(await chain(group([]), f.add.si(1, 2)).delay(), 3);
    assert.equal(await group([]).pipe(f.add.si(1, 2)).delay(), 3);
    assert.deepEqual(await chord([f.double.s(4)], group([])).delay(), []);
    swapDefaultApp(before);
  });

  it("goes on after retries", async () => {
    const { f } = await start();
    assert.equal(await chain(f.again.s(4), f.double.s()).delay(), 8);
  });

  it("ends with the step that fails: what is after it fails with its error", async () => {
    const { f, app } = await start();
    const steps = chain(f.fail.s("bad"), app.signature<number>("t.double"), f.double.s()).linkError(
      f.told.s(),
    );
    const result = steps.delay();
    const error = await result.get({ propagate: false }) as unknown as TaskError;
    assert.ok(error instanceof TaskError);
    assert.deepEqual([error.type, error.message], ["RangeError", "bad"]);
    assert.equal(await result.parent!.failed(), true);
    await worker.open.idle();
    // Only the step that ran tells of its failure.
    assert.deepEqual(seen, [["told", result.parent!.parent!.id]]);
  });

  it("that ends in a group gives the results of all its parts", async () => {
    const { f } = await start();
    const result = chain(f.add.s(1, 2), group(f.add.s(10), chain(f.double.s(), f.add.s(1)))).delay();
    assert.deepEqual(await result, [13, 7]);
    assert.equal(await result.parent, 3);
    const [, parts] = result.results;
    assert.equal(await parts.parent, 6);
    const [child] = await (result.parent as AsyncResult).children;
    assert.ok(child instanceof GroupResult);
    assert.deepEqual([child.id, await child], [result.id, [13, 7]]);
  });
});

describe("a group", () => {
  it("runs side by side under one id, in the order of its parts", async () => {
    const { f } = await start();
    const result = group([f.who.s(), f.who.s()]).delay();
    const values = await result;
    assert.deepEqual(values.map((value) => value[3]), [result.id, result.id]);
    assert.deepEqual(values.map((value) => value[0]), result.results.map(({ id }) => id));
    assert.deepEqual([await result.ready(), await result.successful(), await result.failed()], [
      true,
      true,
      false,
    ]);
    assert.deepEqual([await result.completedCount(), await result.waiting()], [2, false]);
  });

  it("takes groups and chains as parts, and is done at once when it is empty", async () => {
    const { f } = await start();
    const inner = group(f.add.s(1, 1), f.add.s(2, 2));
    const sums = group(
      [inner, chain(f.add.s(3, 3), f.double.s())] as const as never,
    ) as unknown as typeof inner;
    const numbers: unknown = await sums.delay();
    assert.deepEqual(numbers, [[2, 4], 12].flat());
    assert.deepEqual(await group([]).delay(), []);
  });

  it("tells of its parts as they finish, failed ones too", async () => {
    const { f } = await start();
    const result = group(f.add.s(1, 1), f.fail.s("bad"), f.add.s(2, 2)).delay();
    const finished: unknown[] = [];
    for await (const [index, part] of result.finished()) {
      finished.push([index, await (part as never as { status: Promise<string> }).status]);
    }
    assert.deepEqual(finished.sort(), [[0, "SUCCESS"], [1, "FAILURE"], [2, "SUCCESS"]]);
    await assert.rejects(result.get(), { name: "RangeError", message: "bad" });
    const [two, error, four] = await result.get({ propagate: false });
    assert.deepEqual([two, String(error), four], [2, "RangeError: bad", 4]);
    assert.deepEqual([await result.failed(), await result.completedCount()], [true, 2]);
    await result.forget();
    assert.equal(await result.ready(), false);
  });
});

describe("links", () => {
  it("are called with the result, or with their own arguments alone", async () => {
    const { f, idle } = await start();
    await f.add.s(1, 2).link(f.note.s("after")).link(f.note.si("alone")).delay();
    await idle();
    assert.deepEqual(seen, [[3, "after"], ["alone"]]);
  });

  it("may be chains and groups", async () => {
    const { f, idle } = await start();
    await f.add.s(1, 2).link(chain(f.double.s(), f.note.s())).link(group([f.note.s("a"), f.note.s("b")]))
      .delay();
    await idle();
    assert.deepEqual(new Set(seen.map(String)), new Set(["6", "3,a", "3,b"]));
  });

  it("stand in the options of a call, too", async () => {
    const { f, idle } = await start();
    await f.add.applyAsync({
      args: [1, 2],
      link: [f.note.s("signature"), { task: "t.note", args: ["parts"] }],
    });
    await idle();
    assert.deepEqual(seen, [[3, "signature"], [3, "parts"]]);
  });

  it("have ids of their own that do not change, whoever sends them", async () => {
    const { f, app, idle } = await start();
    const result = f.add.s(1, 2).link(f.note.s()).applyAsync({ taskId: "parent" });
    await result;
    await idle();
    const { children } = (await app.AsyncResult("parent").meta())!;
    assert.deepEqual(children, [[["32890184-3ac8-5c10-84ed-9d3492f92126", null], null]]);
  });
});

describe("error callbacks", () => {
  it("that take more than one argument are called where the task failed", async () => {
    const { f, idle } = await start();
    const result = f.fail.s("bad").linkError(f.heard.s()).delay();
    await assert.rejects(result.get());
    await idle();
    assert.deepEqual(seen, [[result.id, "RangeError: bad", true]]);
  });

  it("that take one are sent the id of the failed task", async () => {
    const { f, idle } = await start();
    const result = f.fail.s("bad").linkError(f.told.s()).delay();
    await assert.rejects(result.get());
    await idle();
    assert.deepEqual(seen, [["told", result.id]]);
  });

  it("that fail change nothing for the others", async () => {
    const { f, idle } = await start();
    const result = f.fail.s("bad").linkError(f.deaf.s()).linkError(f.told.s()).delay();
    await assert.rejects(result.get(), { message: "bad" });
    await idle();
    assert.deepEqual(seen, [["told", result.id]]);
  });

  it("are called for a task that nobody knows", async () => {
    const { f, app, idle } = await start();
    const result = chain(app.signature<number>("t.nothing"), f.double.s()).linkError(f.told.s()).delay();
    await assert.rejects(result.get(), { name: "NotRegistered" });
    await idle();
    assert.deepEqual(seen, [["told", result.parent!.id]]);
  });
});

describe("the tasks that every worker has", () => {
  it("call another one many times, each with the result of one", async () => {
    const { f } = await start();
    assert.deepEqual(await map(f.double.s(), [1, 2]).delay(), [2, 4]);
    assert.deepEqual(await starmap(f.add.s(), [[1, 2], [3, 4]]).delay(), [3, 7]);
    const parts = chunks(f.add.s(), [[1, 2], [3, 4], [5, 6]], 2).delay();
    assert.equal(parts.length, 2);
    assert.deepEqual(await parts, [[3, 7], [11]]);
    assert.deepEqual(
      await map(f.who.s() as never, [1]).delay().then(([who]) => (who as unknown[]).length),
      4,
    );
  });

  it("fail with what the other one throws, and for one that nobody knows", async () => {
    const { f, app } = await start();
    await assert.rejects(map(f.fail.s(), ["bad"]).delay().get(), { name: "RangeError", message: "bad" });
    await assert.rejects(map(app.signature("t.nothing"), [1]).delay().get(), { name: "NotRegistered" });
    await assert.rejects(app.sendTask("celery.map", [{ task: 3 }, []]).get(), { name: "BadMessageError" });
  });

  it("chunks as a step are a group of tasks, however many", async () => {
    const { f } = await start();
    const pairs: [number, number][] = [[1, 2], [3, 4], [5, 6]];
    for (const [count, sums] of [[3, [[3, 7], [11]]], [2, [[3, 7]]], [0, []]] as const) {
      const parts = chunks(f.add.s(), pairs.slice(0, count), 2);
      const last = chain(f.add.s(1, 2), parts).delay();
      assert.deepEqual([last.length, await last], [sums.length, sums]);
      assert.deepEqual(await chain(f.add.s(1, 2), parts, f.same.s()).delay(), sums);
      assert.deepEqual(await chain(parts, f.same.s()).delay(), sums);
    }
  });

  it("start a chord that was sent as a task, in whose place it is", async () => {
    const { f, app } = await start();
    const { header, body } = chord([f.add.s(1, 2), f.double.s(4)], f.sum.s()).toJSON().kwargs;
    assert.equal(await app.sendTask("celery.chord", [], { header, body, kwargs: {} }), 11);
    const more = chord([f.add.s(1), f.add.s(2)], f.sum.s()).toJSON().kwargs;
    assert.equal(await app.sendTask("celery.chord", [more.header, more.body, [10]]), 23);
    await assert.rejects(app.sendTask("celery.chord", [3, body]).get(), { name: "BadMessageError" });
  });

  it("gather, clean up, and say what is no task", async () => {
    const { app } = await start();
    assert.deepEqual(await app.sendTask("celery.accumulate", [1, 2]), [1, 2]);
    assert.equal(await app.sendTask("celery.accumulate", [1, 2], { index: 1 }), 2);
    await assert.rejects(app.sendTask("celery.accumulate", [1], { index: 3 }).get(), { name: "IndexError" });
    assert.equal(await app.sendTask("celery.backend_cleanup"), null);
    for (const name of ["chain", "group", "chord_unlock"]) {
      await assert.rejects(app.sendTask(`celery.${name}`).get(), { name: "WorkflowError" });
    }
  });
});

describe("a task that comes a second time", () => {
  it("is not run again, but what follows it is sent again, under the same ids and marked", async () => {
    const { f, app, idle } = await start();
    const broker = await app.transport();
    const { plan, messages } = planned(chain(f.add.s(1, 2), f.note.s()).link(f.note.s("linked")));
    await broker.publish(messages);
    assert.equal(await app.AsyncResult(plan.result.id), null);
    await idle();
    const once = [[3], [null, "linked"]];
    assert.deepEqual(seen, once);
    // Its steps have run to their ends: they do not run again, either.
    await broker.publish(messages.map(secondCopy));
    await idle();
    assert.deepEqual(seen, once);
    // Had it died before what follows was sent, that is sent now.
    await app.AsyncResult(plan.result.id).forget();
    await broker.publish(messages.map(secondCopy));
    await idle();
    assert.deepEqual(seen, [...once, [3]]);
  });

  it("and is followed by what can't be sent here is left as it is", async () => {
    const { f, app, idle } = await start();
    const broker = await app.transport();
    const sum = f.add.s(1, 2).applyAsync({ taskId: "sum" });
    assert.equal(await sum, 3);
    const next = { ...chord([f.add.s(4)], f.sum.s()).toJSON(), kwargs: { header: [], body: null } };
    const again = encodeTask({
      id: "sum",
      task: "t.add",
      args: [1, 2],
      kwargs: {},
      queue: "celery",
      chain: [next],
    });
    await broker.publish([secondCopy(again)]);
    await idle();
    assert.equal(await sum.status, "SUCCESS");
    assert.equal(await f.add(5, 6), 11);
  });

  it("and succeeds after it failed lets its chain go on", async () => {
    const { f, app, idle } = await start();
    const broker = await app.transport();
    const { plan, messages } = planned(chain(f.flaky.s(1), f.double.s()));
    await broker.publish(messages);
    await assert.rejects(app.AsyncResult(plan.result.id).get(), { message: "the first time" });
    await app.AsyncResult(plan.result.parent!.id).forget();
    await broker.publish(messages.map(secondCopy));
    await idle();
    assert.equal(await app.AsyncResult(plan.result.id).get(), 2);
  });
});

it("an app that runs tasks itself follows, too", async () => {
  const app = new App({ alwaysEager: true, broker: "memory:eager-workflow" });
  app.register("t", t);
  const f = app.module<typeof t>("t");
  assert.equal(await chain(f.add.s(1, 2), f.double.s(), f.add.s(10)).delay(), 16);
  assert.deepEqual(await group([f.add.s(1, 2), f.add.s(3, 4)]).delay(), [3, 7]);
  const failed = chain(f.fail.s("bad"), app.signature<number>("t.double")).delay();
  await assert.rejects(failed.get(), { message: "bad" });
  await app.disconnect();
});
