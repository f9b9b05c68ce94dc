/** Tasks that let a workflow take their place, and parts of a chord that add others to it. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  App,
  type AsyncResult,
  chain,
  chord,
  defaultApp,
  group,
  Signature,
  task,
  type TaskContext,
  type TaskError,
  uid,
} from "../../mod.ts";
import { decodeTask } from "../../runtime/protocol/task_message.ts";
import { encodeEnvelope } from "../../runtime/protocol/envelope.ts";
import { encodeTask } from "../../runtime/protocol/task_message.ts";
import { secondCopy } from "../../runtime/protocol/wire_message.ts";
import { besideOf, inPlaceOf } from "../../runtime/workflow/replace.ts";
import { oneWorker } from "./one_worker.ts";

const seen: unknown[] = [];
const steps = {
  add: (x: number, y: number) => x + y,
  double: (x: number) => 2 * x,
  sum: (values: readonly number[]) => values.reduce((a, b) => a + b, 0),
  note: (...what: unknown[]) => void seen.push(what),
  told: (id: string) => void seen.push(["told", id]),
  fail: (word: string): never => {
    throw new RangeError(word);
  },
  who: task({ bind: true }, (ctx) => [ctx.id, ctx.parentId, ctx.rootId, ctx.group]),
};
const f = () => defaultApp().module<typeof steps>("t");
const t = {
  ...steps,
  /** Is replaced by what the name says, with `x`. */
  becomes: task({ bind: true }, (ctx, what: string, x: number): unknown => {
    seen.push([what, ctx.id]);
    return become(ctx, what, x);
  }),
  /** Is replaced as many times as it says, one after another. */
  again: task({ bind: true }, (ctx, times: number): number => {
    if (times === 0) return 7;
    return ctx.replace(defaultApp().signature<number>("t.again", [times - 1]));
  }),
  watched: task(
    { bind: true, onReplace: ({ id }, { task }) => void seen.push(["replaced", id, task]) },
    (ctx): number => ctx.replace(f().add.s(1, 2)),
  ),
  forbidden: task(
    {
      bind: true,
      onReplace: () => {
        throw new RangeError("not this one");
      },
    },
    (ctx): number => ctx.replace(f().add.s(1, 2)),
  ),
  caught: task({ bind: true }, (ctx): number => {
    try {
      return ctx.replace(f().add.s(1, 2));
    } catch {
      return 5;
    }
  }),
  both: task({ bind: true }, (ctx): number => {
    try {
      return ctx.replace(f().add.s(1, 2));
    } finally {
      // deno-lint-ignore no-unsafe-finally -- what a careless task does
      throw new RangeError("after all");
    }
  }),
  adds: task({ bind: true }, (ctx, x: number): number => {
    ctx.addToChord(f().double.s(x));
    ctx.addToChord(chain(f().double.s(x), f().add.s(1)));
    if (ctx.retries < 1) throw ctx.retry({ countdown: 0 });
    return x;
  }),
  addsAlone: task({ bind: true }, (ctx) => ctx.addToChord(f().double.s(1))),
};

function become(ctx: TaskContext, what: string, x: number): unknown {
  const { add, double, fail, who, told } = f();
  switch (what) {
    case "task":
      return ctx.replace(add.s(x, 1));
    case "chain":
      return ctx.replace(chain(add.s(x, 1), double.s(), add.s(100)));
    case "group":
      return ctx.replace(group([add.s(x, 1), double.s(x)]));
    case "chain of a group":
      return ctx.replace(chain(add.s(x, 1), group([add.s(1), double.s()])));
    case "chord":
      return ctx.replace(chord([add.s(x, 1), double.s(x)], f().sum.s()));
    case "who":
      return ctx.replace(who.s());
    case "failure":
      return ctx.replace(fail.s("bad").linkError(told.s()));
    case "empty":
      return ctx.replace(
        new Signature(
          { ...chain(double.s(x), double.s()).toJSON(), kwargs: { tasks: [] } },
          () => defaultApp(),
        ),
      );
    default:
      throw new Error(what);
  }
}

const worker = oneWorker(t);
function start() {
  seen.length = 0;
  return worker.start();
}

describe("a task that is replaced", () => {
  it("has the result of what took its place", async () => {
    const { f } = await start();
    assert.equal(await f.becomes("task", 1), 2);
    assert.equal(await f.becomes("chain", 1), 104);
  });

  it("by a group has the list of its results, by a chord that of the body", async () => {
    const { f } = await start();
    assert.deepEqual(await f.becomes("group", 3), [4, 6]);
    assert.deepEqual(await f.becomes("chain of a group", 3), [5, 8]);
    assert.equal(await f.becomes("chord", 3), 10);
  });

  it("tells its hook what takes its place, which may forbid it", async () => {
    const { f } = await start();
    const result = f.watched();
    assert.equal(await result, 3);
    assert.deepEqual(seen, [["replaced", result.id, "t.add"]]);
    await assert.rejects(f.forbidden().get(), { name: "RangeError", message: "not this one" });
  });

  it("keeps its place in the tree, and in its chain", async () => {
    const { f } = await start();
    const result = chain(f.becomes.s("who", 1), f.note.s("after")).delay();
    await result;
    const { id } = result.parent!;
    assert.deepEqual(await result.parent, [id, id, id, null]);
    assert.deepEqual(seen, [["who", id], [[id, id, id, null], "after"]]);
    const becomes = f.becomes.si("chain", 1) as unknown as Signature<[number], number>;
    const long = chain(f.double.s(1), becomes, f.double.s()).delay();
    assert.deepEqual([await long, await long.parent], [208, 104]);
  });

  it("keeps its callbacks, which are called once, with the last result", async () => {
    const { f } = await start();
    await f.becomes.s("chain", 1).link(f.note.s("linked")).delay();
    await worker.open.idle();
    assert.deepEqual(seen.slice(1), [[104, "linked"]]);
    seen.length = 0;
    await f.becomes.s("group", 3).link(f.note.s("linked")).delay();
    await worker.open.idle();
    assert.deepEqual(seen.slice(1), [[[4, 6], "linked"]]);
  });

  it("fails with what took its place, and its error callbacks are told of its own id", async () => {
    const { f } = await start();
    const result = f.becomes.s("failure", 1).linkError(f.note.si("own")).delay();
    await assert.rejects(result.get(), { name: "RangeError", message: "bad" });
    await worker.open.idle();
    assert.deepEqual(seen.slice(1), [["told", result.id], ["own"]]);
  });

  it("may be replaced again and again", async () => {
    const { f } = await start();
    assert.equal(await f.again(5), 7);
  });

  it("in a chord counts once, by what took its place", async () => {
    const { f } = await start();
    const parts = [f.becomes.s("chain", 1), f.becomes.s("task", 1), f.becomes.s("chord", 3)];
    assert.equal(await chord(parts, f.sum.s() as never).delay(), 104 + 2 + 10);
    assert.deepEqual(await group(f.becomes.s("group", 3), f.becomes.s("task", 1)).delay(), [[4, 6], 2]);
  });

  it("is not replaced where the task catches what ends it, or fails", async () => {
    const { f } = await start();
    assert.equal(await f.caught(), 5);
    await assert.rejects(f.both().get(), { name: "RangeError", message: "after all" });
    await worker.open.idle();
    const counts = worker.open.worker.counts;
    assert.deepEqual([counts.succeeded, counts.failed], [1, 1]);
  });

  it("fails where nothing can take its place", async () => {
    const { f } = await start();
    await assert.rejects(f.becomes("empty", 1).get(), { name: "WorkflowError", message: /without steps/ });
    const [request] = requests();
    const part = new Signature({
      ...f.add.s(1, 2).toJSON(),
      options: { chord: f.sum.s([]).toJSON() },
    }, () => worker.open.app);
    assert.throws(() => inPlaceOf(request, part.toJSON()), {
      name: "WorkflowError",
      message: /part of a chord/,
    });
  });

  it("that comes a second time sends the same once more, which does not run twice", async () => {
    const { f, app } = await start();
    const message = encodeTask({
      id: "twice",
      task: "t.becomes",
      args: ["chain", 1],
      kwargs: {},
      queue: "celery",
      callbacks: [f.note.s("linked").toJSON()],
    });
    await (await app.transport()).publish([message]);
    await worker.open.idle();
    await (await app.transport()).publish([secondCopy(message)]);
    await worker.open.idle();
    assert.equal(await app.AsyncResult("twice"), 104);
    assert.deepEqual(seen, [["chain", "twice"], [104, "linked"]]);
  });

  it("hands on its stamps, but for those that what takes its place has itself", () => {
    const [request] = requests({ stamps: { customer: "c1", line: 3 }, stampedHeaders: ["customer", "line"] });
    const app = new App({ broker: "memory:stamps" });
    const json = chain(app.signature("a"), app.signature("b")).stamp({ line: 5 }).toJSON();
    const [signature] = inPlaceOf(request, json);
    const [a] = (signature.kwargs as { tasks: { options: Record<string, unknown> }[] }).tasks;
    assert.deepEqual([a.options.customer, a.options.line, a.options.replaced_task_nesting], ["c1", 5, 1]);
  });

  it("is run in its caller's process by an app that does so", async () => {
    const app = new App({ alwaysEager: true, taskTrackStarted: true });
    app.register("t", {
      ...steps,
      becomes: task({ bind: true }, (ctx, x: number) => {
        const add = app.signature<number>("t.add", [x, 1]);
        return ctx.replace(chain(add, app.signature<number>("t.double")));
      }),
    });
    assert.equal(await app.sendTask("t.becomes", [2]), 6);
    await app.disconnect();
  });
});

describe("the types of a replacement", () => {
  it("are those of its last step, and all its arguments have to be there", () => {
    const checked = (ctx: TaskContext, app: App) => {
      const f = app.module<typeof steps>("t");
      const number: number = ctx.replace(chain(f.add.s(1, 2), f.double.s()));
      const numbers: number[] = ctx.replace(group([f.add.s(1, 2)]));
      // @ts-expect-error: of two numbers one is missing
      ctx.replace(f.add.s(1));
      // @ts-expect-error: a number is no text
      const text: string = ctx.replace(f.double.s(1));
      // @ts-expect-error: a part needs all its arguments, too
      ctx.addToChord(f.double.s());
      return [number, numbers, text];
    };
    assert.equal(checked.length, 2);
  });
});

describe("a part that is added to a chord", () => {
  it("is waited for by an app that runs its tasks itself, too", async () => {
    const app = new App({ alwaysEager: true });
    app.register("t", {
      ...steps,
      adds: task({ bind: true }, (ctx, x: number) => {
        ctx.addToChord(app.signature<number>("t.double", [x]));
        return x;
      }),
    });
    const parts = [app.signature<number>("t.adds", [1]), app.signature<number>("t.double", [50])];
    assert.equal(await chord(parts, app.signature<number>("t.sum")).delay(), 1 + 100 + 2);
    await app.disconnect();
  });

  it("is waited for, and stands beside the one that has added it", async () => {
    const { f } = await start();
    const result = chord([f.adds.s(1), f.double.s(50)], f.note.s("body") as never).delay() as AsyncResult;
    await result;
    await worker.open.idle();
    const [[values, word]] = seen as [[number[], string]];
    assert.deepEqual([values.toSorted((a, b) => a - b), word, values.at(-1)], [[1, 2, 3, 100], "body", 100]);
  });

  it("needs a chord, and is one task or a chain", async () => {
    const { f } = await start();
    const error = await f.addsAlone().get({ propagate: false }) as unknown as TaskError;
    assert.deepEqual([error.type, /no part of a chord/.test(error.message)], ["WorkflowError", true]);
    const [request] = requests({ group: "g", groupIndex: 3, chord: f.sum.s([]).toJSON() });
    assert.throws(() => besideOf(request, group([f.double.s(1)]).toJSON()), { message: /one by one/ });
    const [, options] = besideOf(request, f.double.s(1).toJSON());
    assert.deepEqual([options.group_id, options.group_index, options.root_id], ["g", 3, request.rootId]);
  });
});

/** A request as it arrives, with other fields. */
function requests(fields = {}) {
  const id = uid();
  const text = encodeEnvelope(encodeTask({ id, task: "t.double", args: [1], kwargs: {}, queue: "celery" }));
  return [{ ...decodeTask(text), ...fields }];
}
