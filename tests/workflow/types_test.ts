/** Types flow through workflows: a wrong step does not compile. What runs here only shows that the right ones are values. */
import assert from "node:assert/strict";
import { it } from "node:test";
import {
  App,
  type AsyncResult,
  chain,
  chord,
  chunks,
  group,
  type GroupResult,
  map,
  type Signature,
  starmap,
  task,
} from "../../mod.ts";

type Module = {
  add(x: number, y: number): number;
  double(x: number): Promise<number>;
  shout(word: string, times?: number): string;
  sum(numbers: readonly number[]): number;
  all(...words: string[]): string;
  now(): number;
};
const app = new App({ broker: "memory:types" });
const t = app.module<Module>("t");

/** Fails to compile unless both are the same type. */
function same<A, B>(
  ..._: (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? [] : [never]
) {}

it("a signature knows what it still takes and what it gives", () => {
  const full = t.add.s(1, 2), partial = t.add.s(2), none = t.add.s();
  same<typeof full, Signature<[], number>>();
  same<typeof partial, Signature<[number], number>>();
  same<typeof none, Signature<[number, number], number>>();
  const fixed = t.add.si(1, 2), word = t.shout.s("hey"), promised = t.double.s(1);
  same<typeof fixed, Signature<unknown[], number>>();
  same<typeof promised, Signature<[], number>>();
  const own = task({ name: "t.own" }, (x: number, y: string) => y.repeat(x));
  same<ReturnType<typeof own.si>, Signature<unknown[], string>>();
  assert.deepEqual([full, partial, none, fixed, word, own.s("y")].map(({ task }) => task), [
    ...Array(4).fill("t.add"),
    "t.shout",
    "t.own",
  ]);
  // @ts-expect-error: it takes numbers
  t.add.s("1", 2);
  // @ts-expect-error: it takes two arguments
  t.add.s(1, 2, 3);
  // @ts-expect-error: exactly these arguments are too few
  t.add.si(1);
});

it("a chain is checked step by step, and its result is that of its last step", () => {
  const good = chain(t.add.s(1, 2), t.double.s(), t.add.s(4));
  same<typeof good, Signature<[], number, AsyncResult<number>>>();
  const open = chain(t.add.s(4), t.double.s());
  same<typeof open, Signature<[number], number, AsyncResult<number>>>();
  const words = chain(app.signature<string>("py.word"), t.shout.s(3), t.shout.s(), t.all.s());
  same<typeof words, Signature<unknown[], string, AsyncResult<string>>>();
  const piped = t.add.s(1, 2).pipe(t.double.s());
  same<typeof piped, Signature<[], number, AsyncResult<number>>>();
  const listed = chain([t.add.s(1, 2), ...[1, 2, 3].map((n) => t.add.s(n))]);
  same<typeof listed, Signature<[], number, AsyncResult<number>>>();
  const steps = [1, 2, 3].map((n) => t.add.s(n));
  const spread = chain(t.add.s(1, 2), ...steps);
  same<typeof spread, Signature<[], number, AsyncResult<number>>>();
  const many = chain(
    ...[t.add.s(1, 2), t.double.s(), t.double.s(), t.double.s(), t.double.s(), t.double.s()] as const,
    t.add.s(1),
    group([t.double.s(), app.signature<string>("py.word")]),
    app.signature<string>("py.join"),
  );
  same<typeof many, Signature<[], string, AsyncResult<string>>>();
  chain(
    t.add.s(1, 2),
    // @ts-expect-error: the compiler points at the step that does not fit
    t.shout.s(),
    t.shout.s(),
  );
  // @ts-expect-error: each of them takes what the others give
  chain(t.shout.s("a"), ...steps);
  assert.throws(
    // @ts-expect-error: a chain needs a step
    () => chain(),
    TypeError,
  );
  assert.equal(good.task, "celery.chain");
  // @ts-expect-error: shout takes text, not the number of the step before
  chain(t.add.s(1, 2), t.shout.s());
  // @ts-expect-error: add still takes two arguments, and one comes
  chain(t.double.s(1), t.add.s());
  // @ts-expect-error: the third step takes a list
  chain(t.add.s(1, 2), t.double.s(), t.sum.s());
  // @ts-expect-error: now takes no argument
  chain(t.add.s(1, 2), t.now.s());
  chain(t.add.s(1, 2), t.now.si());
  // @ts-expect-error: shout takes text
  t.add.s(1, 2).pipe(t.shout.s());
  // @ts-expect-error: shout takes text
  t.add.s(1, 2).link(t.shout.s());
});

it("a group gives the list of what its parts give", () => {
  const mixed = group(t.add.s(1, 2), t.shout.s("a", 2));
  same<typeof mixed, Signature<[], [number, string], GroupResult<[number, string]>>>();
  const list = group([1, 2].map((n) => t.add.s(n, n)));
  same<typeof list, Signature<[], number[], GroupResult<number[]>>>();
  const either = group([t.add.s(1, 2), t.shout.s("a", 2)]);
  same<typeof either, typeof mixed>();
  const after = chain(t.add.s(1, 2), group(t.double.s(), t.add.s(1)));
  same<typeof after, Signature<[], [number, number], GroupResult<[number, number]>>>();
  const upgraded = chain(list, t.sum.s());
  same<typeof upgraded, Signature<[], number, AsyncResult<number>>>();
  const body = chord([t.add.s(1, 2)], t.sum.s());
  same<typeof body, Signature<[], number, AsyncResult<number>>>();
  assert.equal(upgraded.kind, "chord");
  const word = app.signature<string>("py.word");
  const listed = chord([t.add.s(1, 2), word], word as never as Signature<[[number, string]], string>);
  same<typeof listed, Signature<unknown[] & [], string, AsyncResult<string>>>();
  const pair = chord(group(t.add.s(2), t.double.s()), t.sum.s());
  same<typeof pair, Signature<[number], number, AsyncResult<number>>>();
  const split = chord([t.add.s(1, 2)], group(t.sum.s(), t.sum.s()));
  same<typeof split, Signature<[], [number, number], GroupResult<[number, number]>>>();
  const counted = chord(chunks(t.add.s(), [[1, 2]], 1), word as never as Signature<[number[][]], string>);
  same<typeof counted, Signature<unknown[], string, AsyncResult<string>>>();
  assert.deepEqual([pair.kind, split.kind, counted.kind], Array(3).fill("chord"));
  // @ts-expect-error: the body takes numbers, and one part gives text
  chord(group(t.add.s(1, 2), t.shout.s("a", 1)), t.sum.s());
  // @ts-expect-error: sum takes a list of numbers
  chain(group([t.shout.s("a")]), t.sum.s());
  // @ts-expect-error: shout takes no number
  chain(t.add.s(1, 2), group(t.double.s(), t.shout.s()));
  // @ts-expect-error: the body takes text
  chord([t.add.s(1, 2)], t.shout.s());
});

it("map, starmap and chunks take what their task takes", () => {
  const mapped = map(t.double.s(), [1, 2]);
  same<typeof mapped, Signature<unknown[], number[]>>();
  const starred = starmap(t.add.s(), [[1, 2]]);
  same<typeof starred, Signature<unknown[], number[]>>();
  const chunked = chunks(t.add.s(), [[1, 2]], 10);
  same<typeof chunked, Signature<unknown[], number[][], GroupResult<number[][]>>>();
  assert.equal(mapped.task, "celery.map");
  // @ts-expect-error: double takes numbers
  map(t.double.s(), ["a"]);
  // @ts-expect-error: add takes two
  starmap(t.add.s(), [[1]]);
  assert.throws(() => chunks(t.add.s(), [[1, 2]], 0), RangeError);
});
