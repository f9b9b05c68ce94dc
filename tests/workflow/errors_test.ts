/** What happens when: the tables of `docs/workflows.md`, a test a row, named by the row's first cell. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import {
  App,
  type AsyncResult,
  chain,
  chord,
  group,
  type GroupResult,
  type Signature,
  task,
  uid,
} from "../../mod.ts";
import { encodeTask } from "../../runtime/protocol/task_message.ts";
import { secondCopy } from "../../runtime/protocol/wire_message.ts";
import type { GivenSettings } from "../../runtime/config/settings.ts";
import { startTesting } from "../../runtime/testing.ts";
import { messageOf } from "../../runtime/workflow/message.ts";
import { planCall } from "../../runtime/workflow/plan.ts";
import { eventually, within } from "../conformance/patience.ts";
import { marksIn, Workshop } from "../worker/workshop.ts";

const PAGE = new URL("../../docs/workflows.md", import.meta.url);
/** Seconds. What a dead worker held comes back after that. */
const LEASE = 0.6;

const t = {
  add: (x: number, y: number) => x + y,
  double: (x: number) => 2 * x,
  same: (value: unknown) => value,
  long: (length: number) => "x".repeat(length),
  sum: (values: readonly number[]) => values.reduce((a, b) => a + b, 0),
  fail: (word: string): never => {
    throw new RangeError(word);
  },
  again: task({ bind: true }, (ctx, x: number) => {
    if (ctx.retries < 2) throw ctx.retry({ countdown: 0 });
    return x;
  }),
};

/** A worker in this process, what was heard by callbacks, and how often `count` ran. */
async function open() {
  const heard: unknown[] = [];
  let runs = 0;
  const own = {
    ...t,
    hear: (...what: unknown[]) => void heard.push(...what),
    count: () => ++runs,
    /** An error callback that is called where the task failed. */
    deaf: (_request: unknown, _error: unknown) => {
      throw new Error("cannot hear");
    },
  };
  const testing = await startTesting({ tasks: { t: own } });
  return { ...testing, f: testing.app.module<typeof own>("t"), heard };
}

type Opened = Awaited<ReturnType<typeof open>>;

const failed = (result: { get(): Promise<unknown> }, name: string, message: RegExp | string) =>
  assert.rejects(result.get(), { name, message });

/** A workflow's plan and its messages, to be published by hand, once or twice. */
function planned(app: App, signature: Signature<[], unknown, unknown>) {
  const plan = planCall(signature.toJSON(), { newId: uid });
  const { settings } = app;
  const [origin, defaultsOf] = [undefined, () => undefined];
  const surroundings = { settings, origin, now: 0, route: () => null, defaultsOf };
  return { ...plan, messages: plan.calls.map((call) => messageOf(call, surroundings)) };
}

async function inShop(settings: GivenSettings, run: (shop: Workshop) => Promise<void>): Promise<void> {
  const shop = await Workshop.open({ settings });
  try {
    await run(shop);
  } finally {
    await shop[Symbol.asyncDispose]();
  }
}

const rows: Record<string, (world: Opened) => Promise<void>> = {
  "a step of a chain fails": async ({ f, heard, idle }) => {
    const steps = chain(f.fail.s("bad"), f.double.s() as Signature<[unknown], number>, f.double.s());
    const result = steps.linkError(f.hear.s()).delay();
    const first = result.parent!.parent as AsyncResult;
    for (const each of [first, result.parent!, result]) await failed(each, "RangeError", "bad");
    await idle();
    assert.deepEqual(heard, [first.id]);
  },
  "a step is retried": async ({ f }) => {
    assert.equal(await chain(f.again.s(4), f.double.s()).delay(), 8);
  },
  "a step is unknown to its worker": async ({ f, app }) => {
    const result = chain(app.signature<number>("t.unheard"), f.double.s()).delay();
    await failed(result, "NotRegistered", /t\.unheard/);
    assert.equal((await (await app.transport()).deadLetters("celery", 9)).length, 1);
  },
  "a step has expired, or is revoked": async ({ f, idle, advance }) => {
    const late = chain(f.add.s(1, 2).set({ expires: new Date(0) }), f.double.s()).delay();
    const revoked = chain(f.add.s(1, 2).set({ countdown: 60 }), f.double.s()).delay();
    await idle();
    await (revoked.parent as AsyncResult).revoke();
    await advance(60);
    await idle();
    for (const result of [late, revoked]) {
      assert.equal(await (result.parent as AsyncResult).status, "REVOKED");
      assert.equal(await result.status, "PENDING");
    }
  },
  "a step's isolate dies": () =>
    inShop({}, async (shop) => {
      await shop.worker("-c", "2");
      const result = chain(shop.jobs.die.s("calls process.exit"), shop.jobs.echo.s()).delay();
      await failed(result, "WorkerLostError", /./);
    }),
  "a part of a group fails": async ({ f }) => {
    const result = group([f.add.s(1, 2), f.fail.s("bad") as Signature<[], number>, f.add.s(3, 4)]).delay();
    await failed(result, "RangeError", "bad");
    const [three, error, seven] = await result.get({ propagate: false });
    assert.deepEqual([three, String(error), seven], [3, "RangeError: bad", 7]);
  },
  "a callback fails": async ({ f, idle }) => {
    const result = f.add.s(1, 2).link(f.fail.si("callback")).delay();
    assert.equal(await result, 3);
    await idle();
    const [child] = await result.children;
    await failed(child, "RangeError", "callback");
  },
  "an error callback fails": async ({ f, heard, idle }) => {
    const result = f.fail.s("bad").linkError(f.deaf.s()).linkError(f.hear.s()).delay();
    await failed(result, "RangeError", "bad");
    await idle();
    assert.deepEqual(heard, [result.id]);
  },
  "what follows can't be sent": async ({ f, app }) => {
    const next = { ...chord([f.add.s(1)], f.sum.s()).toJSON() };
    const chain = [{ ...next, kwargs: { ...next.kwargs, body: null } }];
    await (await app.transport()).publish([
      encodeTask({ id: "step", task: "t.add", args: [1, 2], kwargs: {}, queue: "celery", chain }),
    ]);
    await failed(app.AsyncResult("step"), "WorkflowError", "the chord has no body");
  },
  "a result, or those of all parts of a chord, are too large for a message": async ({ f }) => {
    await failed(chain(f.long.s(14_000_000), f.same.s()).delay(), "WorkflowError", /t\.same .* 16777216/);
    const all = f.same.s() as unknown as Signature<[string[]], unknown>;
    const body = chord([f.long.s(7_000_000), f.long.s(7_000_000)], all).delay();
    await failed(body, "ChordError", /may have 16777216/);
  },
  "a part of a chord fails": async ({ f, heard, idle }) => {
    const header = [f.add.s(1, 2), f.fail.s("bad") as Signature<[], number>];
    const result = chain(chord(header, f.sum.s()), f.double.s()).linkError(f.hear.s()).delay();
    const body = result.parent as AsyncResult<number>;
    const [three, bad] = (body.parent as unknown as GroupResult).results;
    const message = `Dependency ${bad.id} raised RangeError('bad')`;
    await failed(body, "ChordError", message);
    await failed(result, "ChordError", message);
    assert.equal(await three, 3);
    await idle();
    assert.deepEqual(heard, [body.id]);
  },
  "several parts of a chord fail": async ({ f }) => {
    const header = [f.fail.s("first"), f.fail.s("second")];
    const result = chord(header as Signature<[], number>[], f.sum.s()).delay();
    await failed(result, "ChordError", /raised RangeError\('first'\)$/);
  },
  "a part of a chord is unknown, has expired, or is revoked": async ({ f, app, idle, advance }) => {
    const unknown = chord([f.add.s(1, 2), app.signature<number>("t.unheard")], f.sum.s()).delay();
    await failed(unknown, "ChordError", /raised NotRegistered\('t\.unheard'\)$/);
    const late = chord([f.add.s(1, 2).set({ expires: new Date(0) })], f.sum.s()).delay();
    await failed(late, "ChordError", /raised TaskRevokedError\('expired'\)$/);
    const revoked = chord([f.add.s(1, 2), f.add.s(3, 4).set({ countdown: 60 })], f.sum.s())
      .delay() as AsyncResult;
    await idle();
    await (revoked.parent as unknown as GroupResult).results[1].revoke();
    await advance(60);
    await failed(revoked, "ChordError", /raised TaskRevokedError\('revoked'\)$/);
  },
  "the isolate of a chord's part dies, or is ended at its time limit": () =>
    inShop({}, async (shop) => {
      await shop.worker("-c", "2");
      const { die, echo, block } = shop.jobs;
      const body = echo.s() as Signature<[unknown[]], unknown>;
      const lost = chord([echo.s(1), die.s("calls process.exit")], body).delay() as AsyncResult;
      await failed(lost, "ChordError", /raised WorkerLostError\(/);
      const endless = block.s(shop.gate().path).set({ timeLimit: 0.1 });
      const late = chord([echo.s(1), endless], body).delay() as AsyncResult;
      await failed(late, "ChordError", /raised TimeLimitExceeded\(/);
    }),
  "a part of a chord runs a second time, and ends otherwise": async ({ f, app, idle, advance }) => {
    const whole = chord([f.count.s(), f.add.s(10, 0).set({ countdown: 60 })], f.same.s());
    const { calls, chords, messages, result } = planned(app, whole as Signature<[], unknown>);
    const broker = await app.transport();
    await (await app.results()).chords!.begin(chords.map((chord) => ({ ...chord, ttl: 60 })));
    await broker.publish(messages);
    await idle();
    const counted = app.AsyncResult(calls[0].id);
    await counted.forget();
    await broker.publish([secondCopy(messages[0])]);
    await idle();
    assert.equal(await counted, 2);
    await advance(60);
    assert.deepEqual(await app.AsyncResult(result.id), [1, 10]);
  },
  "the body of a chord fails": async ({ f, heard, idle }) => {
    const result = chord([f.add.s(1, 2)], f.fail.si("body")).linkError(f.hear.s()).delay();
    await failed(result as AsyncResult, "RangeError", "body");
    await idle();
    assert.deepEqual(heard, [(result as AsyncResult).id]);
  },
  "a chord has no parts": async ({ f }) => {
    assert.equal(await chord([] as Signature<[], number>[], f.sum.s()).delay(), 0);
  },
  "nobody could count the parts of a chord": () => {
    const app = new App({ broker: "amqp://nowhere.invalid", backend: "rpc://" });
    const f = app.module<typeof t>("t");
    const refused = { name: "WorkflowError", message: /result store that can count its parts/ };
    assert.throws(() => chord([f.add.s(1, 2)], f.sum.s()).delay(), refused);
    assert.throws(() => chain(group([f.add.s(1, 2), f.add.s(3, 4)]), f.sum.s()).delay(), refused);
    return Promise.resolve();
  },
  "the result store does not know the chord, or not any more": async ({ app, f, idle }) => {
    const { calls, messages, result } = planned(app, chord([f.add.s(1, 2)], f.sum.s()));
    await (await app.transport()).publish(messages);
    await idle();
    assert.equal(await app.AsyncResult(calls[0].id), 3);
    assert.equal(await app.AsyncResult(result.id).status, "PENDING");
  },
  "a step comes a second time": async ({ f, app, idle, heard }) => {
    const { messages, result } = planned(app, chain(f.add.s(1, 2), f.hear.s()));
    const broker = await app.transport();
    await broker.publish(messages);
    assert.equal(await app.AsyncResult(result.id), null);
    await broker.publish(messages.map(secondCopy));
    await idle();
    assert.deepEqual(heard, [3]);
  },
  "a worker dies between two steps": () =>
    inShop({ brokerTransportOptions: { lease: LEASE } }, async (shop) => {
      const worker = await shop.worker("-c", "1");
      const file = shop.file("marks"), gate = shop.gate();
      const result = chain(shop.jobs.markAndHold.s(file, gate.path), shop.jobs.echo.s()).delay();
      await eventually(async () => assert.equal((await marksIn(file)).length, 1));
      await worker.kill();
      await gate.open();
      await shop.worker("-c", "1");
      assert.equal(await within(30_000, result, "the chain's value"), "let go");
      assert.deepEqual((await marksIn(file)).map(({ again }) => again), [false, true]);
    }),
  "what follows is no signature, or nests too deep": async ({ app }) => {
    const wrong = [
      `{"task": 3}`,
      `{"args": [1]}`,
      `{"task": "t.add", "options": {"countdown": "soon"}}`,
      `{"task": "celery.group", "subtask_type": "group", "kwargs": {"tasks": 3}}`,
      `{"task": "t.add", "options": {"link": `.repeat(600) + "null" + "}}".repeat(600),
    ];
    const broker = await app.transport();
    const call = { task: "t.add", args: [1, 2], kwargs: {}, queue: "celery" };
    for (const [i, signatures] of wrong.entries()) {
      const body = `[[1, 2], {}, {"chain": [${signatures}]}]`;
      await broker.publish([{ ...encodeTask({ ...call, id: `bad-${i}` }), body }]);
      await failed(app.AsyncResult(`bad-${i}`), "InvalidTaskError", /bad chain/);
    }
    assert.equal((await broker.deadLetters("celery", 9)).length, wrong.length);
  },
};

describe("what happens when", () => {
  for (const [row, check] of Object.entries(rows)) {
    it(row, async () => {
      const world = await open();
      try {
        await check(world);
      } finally {
        await world.close();
      }
    });
  }

  it("it stands in the page, and nothing else does", async () => {
    const [, section] = (await readFile(PAGE, "utf8")).split("## What happens when\n");
    const lines = section.split("\n## ")[0].split("\n").filter((line) => /^\| [^-]/.test(line));
    const first = lines.map((line) => line.split("|")[1].trim()).filter((cell) => cell !== "what happens");
    assert.deepEqual(first.toSorted(), Object.keys(rows).toSorted());
  });
});
