/** Chords: their parts are counted, and their bodies called once with what these gave. In the test's own process. */
import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import {
  App,
  type AsyncResult,
  chain,
  chord,
  ChordError,
  chunks,
  group,
  GroupResult,
  type Signature,
  task,
} from "../../mod.ts";
import { startTesting, type Testing } from "../../runtime/testing.ts";

const seen: unknown[] = [];
const t = {
  add: (x: number, y: number) => x + y,
  double: async (x: number) => (await Promise.resolve(), 2 * x),
  sum: (values: readonly number[]) => values.reduce((a, b) => a + b, 0),
  same: (value: unknown) => value,
  both: (value: unknown, other: unknown) => [value, other],
  nothing: () => undefined,
  fail: (word: string): never => {
    throw new RangeError(word);
  },
  told: (id: string) => void seen.push(id),
  place: task({ bind: true }, (ctx) => [ctx.group, ctx.rootId, ctx.parentId]),
  tagged: task({ bind: true }, (ctx, ..._: unknown[]) => ctx.headers.tag),
  again: task({ bind: true }, (ctx, x: number) => {
    if (ctx.retries < 2) throw ctx.retry({ countdown: 0 });
    return x;
  }),
};

/** The same again, whoever runs the tasks. */
function chordsOf(start: () => Promise<{ app: App; idle: () => Promise<void> }>) {
  const open = async () => {
    const { app, idle } = await start();
    return { app, idle, f: app.module<typeof t>("t") };
  };

  it("call the body with the results, in the order of the parts", async () => {
    const { f } = await open();
    const result = chord([f.add.s(1, 2), f.double.s(4), f.again.s(5)], f.sum.s()).delay();
    assert.equal(await result, 16);
    const header = result.parent as unknown as GroupResult<number[]>;
    assert.ok(header instanceof GroupResult);
    assert.deepEqual(await header, [3, 8, 5]);
  });

  it("of one part, of none, and of parts that give nothing", async () => {
    const { f } = await open();
    assert.deepEqual(await chord([f.add.s(1, 2)], f.same.s()).delay(), [3]);
    assert.deepEqual(await chord([], f.same.s()).delay(), []);
    assert.deepEqual(await chord([f.nothing.s(), f.nothing.s()], f.same.s()).delay(), [null, null]);
    assert.deepEqual(await chord(chunks(f.add.s(), [[1, 2], [3, 4], [5, 6]], 2), f.same.s()).delay(), [
      [3, 7],
      [11],
    ]);
  });

  it("have options of their own: its id is the body's, its time that of the parts, a group's those of the parts", async () => {
    const { f, app } = await open();
    const result = chord([f.place.s(), f.place.s()], f.same.s()).applyAsync({ taskId: "body", countdown: 0 });
    assert.equal(result.id, "body");
    assert.equal((await result as unknown[]).length, 2);
    assert.equal((await app.AsyncResult("body").meta())!.status, "SUCCESS");
    const told = chord(group([f.tagged.s(), f.tagged.s()]).set({ headers: { tag: "part" } }), f.same.s());
    assert.deepEqual(await told.delay(), ["part", "part"]);
    const both = chord([f.tagged.s()], f.tagged.s()).set({ headers: { tag: "all" } });
    assert.equal(await both.delay(), "all");
    assert.deepEqual(await chord(group([f.add.s(1, 2)]), f.same.s()).delay(), [3]);
  });

  it("take arguments for each part, and an immutable body takes none", async () => {
    const { f } = await open();
    const sums = chord([f.add.s(10), f.add.s(20)], f.same.s());
    assert.deepEqual(await sums.delay(1), [11, 21]);
    assert.deepEqual(await chord([f.add.s(1, 2), f.double.s(3)], f.same.si("alone")).delay(), "alone");
  });

  it("stand in chains: a group with a step after it is one", async () => {
    const { f } = await open();
    const result = chain(f.add.s(1, 2), group([f.add.s(10), f.double.s()]), f.sum.s(), f.double.s()).delay();
    assert.equal(await result, 38);
    assert.equal(await result.parent, 19);
    assert.deepEqual(await result.parent!.parent, [13, 6]);
    assert.equal(await result.parent!.parent!.parent, 3);
  });

  it("one after another", async () => {
    const { f } = await open();
    const twice = (s: Signature<[number], unknown, unknown>) =>
      group([s, s]) as never as Signature<[number], number[]>;
    const widened = f.sum.s() as Signature<[number[]], number>;
    const all = chain(
      f.add.s(1, 0),
      twice(f.double.s()),
      widened,
      twice(f.double.s()),
      widened,
      chain(twice(f.double.s()), widened),
    );
    assert.equal(await all.delay(), 64);
    const groups = chain(group([f.add.s(1, 1), f.add.s(2, 2)]), group([f.sum.s(), f.same.s() as never]));
    assert.deepEqual(await groups.delay(), [6, [2, 4]]);
    const body = chord([f.add.s(1, 1), f.add.s(2, 2)], group([f.sum.s(), f.sum.s()]));
    assert.deepEqual(await chain(body, f.sum.s()).delay(), 12);
    const third = chord([f.double.s() as never, f.double.s() as never], f.same.s());
    assert.deepEqual(await chain(body, third as never).delay(), [NaN, NaN]);
  });

  it("have chains, groups and chords as parts", async () => {
    const { f } = await open();
    const parts = [
      f.add.s(1, 1),
      chain(f.add.s(2, 2), f.double.s()),
      chord([f.add.s(3, 3), f.add.s(4, 4)], f.sum.s()),
      group([f.add.s(5, 5), f.add.s(6, 6)]),
      chain(f.add.s(7, 7), group([f.double.s(), f.add.s(1)])),
      chain(f.add.s(1, 1), group([f.double.s(), f.double.s()]), f.sum.s()),
    ] as Signature<[], unknown, unknown>[];
    const expected = [2, 8, 14, 10, 12, [28, 15], 8];
    assert.deepEqual(await chord(parts, f.same.s()).delay(), expected);
    assert.deepEqual(
      await chain(f.nothing.si(), chord(parts, f.same.s()).set({ immutable: true }) as never).delay(),
      expected,
    );
    assert.deepEqual(await chord([chord(parts, f.same.s())], f.same.s()).delay(), [expected]);
  });

  it("fail when a part fails: the body, what comes after it, and their error callbacks hear of it", async () => {
    const { f, app, idle } = await open();
    seen.length = 0;
    const result = chain(
      chord([f.add.s(1, 2), f.fail.s("bad")], f.sum.s()),
      f.double.s(),
    ).linkError(f.told.s()).delay();
    const body = result.parent as AsyncResult<number>;
    const [, part] = (body.parent as unknown as GroupResult).results;
    const message = `Dependency ${part.id} raised RangeError('bad')`;
    const error = await body.get().then(() => assert.fail(), (error) => error);
    assert.ok(error instanceof ChordError);
    assert.equal(error.message, message);
    await assert.rejects(result.get(), { name: "ChordError", message });
    await idle();
    assert.deepEqual(seen, [body.id]);
    assert.equal(await app.AsyncResult(body.id).status, "FAILURE");
  });

  it("fail with what is around them", async () => {
    const { f, app } = await open();
    const inner = chord([f.add.s(1, 2), f.fail.s("deep")], f.sum.s());
    await assert.rejects(chord([inner, f.add.s(1, 2)], f.sum.s()).delay().get(), {
      name: "ChordError",
      message: /Dependency .* raised ChordError\(.*RangeError\(\\'deep\\'\)/,
    });
    const early = chain(f.fail.s("early"), app.signature<number>("t.double"), f.double.s());
    await assert.rejects(chord([early, f.add.s(1, 2)], f.sum.s()).delay().get(), {
      message: /raised RangeError\('early'\)/,
    });
    const ends = chain(f.fail.s("group"), group([f.same.s(), f.same.s()]) as never);
    await assert.rejects(chord([ends as never], f.same.s()).delay().get(), {
      message: /RangeError\('group'\)/,
    });
    const wrong = chord([f.fail.s("group body")], group([f.same.s(), f.same.s()])).delay();
    for (const part of wrong.results) await assert.rejects(part.get(), { name: "ChordError" });
  });

  it("keep their places: the parts are one group, whose last one calls the body", async () => {
    const { f } = await open();
    const result = chord([f.place.s(), f.place.s()], f.both.s(1) as never).delay() as AsyncResult;
    const [parts] = await result as unknown[][][];
    const header = result.parent as unknown as GroupResult;
    assert.deepEqual(parts.map(([groupId]) => groupId), [header.id, header.id]);
    const meta = (await result.meta())!;
    assert.ok(header.results.some(({ id }) => id === meta.parentId));
  });

  it("that nobody could ever complete are refused before anything is sent", async () => {
    const { f } = await open();
    const empty = chain(f.add.s(1, 2), group([]));
    const header = chord([f.add.s(1, 2)], group([]) as never);
    assert.equal(await (empty as unknown as Signature<[], unknown>).delay(), 3);
    assert.throws(() => chord([header], f.same.s()).delay(), {
      name: "WorkflowError",
      message: /never be called/,
    });
  });
}

describe("chords by a worker", () => {
  let open: Testing | undefined;
  afterEach(async () => {
    await open?.close();
    open = undefined;
  });
  chordsOf(async () => open = await startTesting({ tasks: { t } }));

  it("fail with a part that nobody knows, and with one that has expired", async () => {
    const { app } = open = await startTesting({ tasks: { t } });
    const f = app.module<typeof t>("t");
    const unknown = chord([app.signature<number>("t.unheard"), f.add.s(1, 2)], f.sum.s());
    await assert.rejects(unknown.delay().get(), { message: /raised NotRegistered\('t.unheard'\)/ });
    const late = chord([f.add.s(1, 2).set({ expires: new Date(0) }), f.add.s(1, 2)], f.sum.s());
    await assert.rejects(late.delay().get(), { message: /raised TaskRevokedError\('expired'\)/ });
  });
});

describe("chords of an app that runs tasks itself", () => {
  let app: App;
  afterEach(() => app.disconnect());
  chordsOf(() => {
    app = new App({ alwaysEager: true, broker: "memory:eager-chords" });
    app.register("t", t);
    return Promise.resolve({ app, idle: () => new Promise((resolve) => setTimeout(resolve)) });
  });
});

it("chords with results by rpc:// are refused before anything is sent", () => {
  const app = new App({ broker: "amqp://nowhere.invalid", backend: "rpc://" });
  const f = app.module<typeof t>("t");
  const refusal = { name: "WorkflowError", message: /result store that can count its parts/ };
  assert.throws(() => chord([f.add.s(1, 2)], f.sum.s()).delay(), refusal);
  assert.throws(() => chain(f.add.s(1, 2), group([f.add.s(3), f.add.s(4)]), f.sum.s()).delay(), refusal);
});

it("chords that can't be begun are not sent, and whoever waits for one is told", async () => {
  const app = new App({ broker: "memory:unbegun", backend: "redis://127.0.0.1:1", publishTimeout: 0 });
  const f = app.module<typeof t>("t");
  const result = chord([f.add.s(1, 2), f.add.s(3, 4)], f.sum.s()).delay();
  await assert.rejects(result.published, { name: "BrokerUnavailableError" });
  await assert.rejects(result.get(), { name: "BrokerUnavailableError" });
  assert.deepEqual((await (await app.transport()).lengths(["celery"])).map(({ ready }) => ready), [0]);
  await app.disconnect();
});
