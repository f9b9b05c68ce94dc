/** Random workflows of chains, groups and chords give what their shape says, or fail, whoever runs them. In the test's own process. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type AnySignature, App, chain, chord, group, type Signature } from "../../mod.ts";
import { startTesting } from "../../runtime/testing.ts";
import { seededRandom } from "../protocol/samples.ts";

const WORKFLOWS = 60;

/** What a workflow is made of, before it is one. */
type Shape =
  | { readonly kind: "task"; readonly value?: number }
  | { readonly kind: "chain" | "group"; readonly parts: readonly Shape[] }
  | { readonly kind: "chord"; readonly parts: readonly Shape[]; readonly body: Shape };

/** What fails has a word of its own among its arguments. */
const BAD = -1;

const t = {
  echo: (value: unknown) => {
    if (value === BAD) throw new RangeError("bad");
    return value;
  },
};

/** Shapes whose first tasks have values of their own; the others take what comes. */
class Shapes {
  readonly #random: () => number;
  #values = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  next(depth: number, isFirst = true): Shape {
    const kind = depth <= 0 ? 0 : this.#upTo(6);
    if (kind <= 1) return { kind: "task", ...(isFirst && { value: this.#values++ }) };
    if (kind <= 3) {
      return {
        kind: "chain",
        parts: this.#some(2, 3, (i) => this.next(depth - 1, isFirst && i === 0)),
      };
    }
    const parts = this.#some(kind === 4 ? 2 : 1, 3, () => this.next(depth - 1, isFirst));
    return kind === 4
      ? { kind: "group", parts }
      : { kind: "chord", parts, body: this.next(depth - 2, false) };
  }

  #some(least: number, most: number, make: (i: number) => Shape): Shape[] {
    return Array.from({ length: least + this.#upTo(most - least + 1) }, (_, i) => make(i));
  }

  #upTo(end: number): number {
    return Math.floor(this.#random() * end);
  }
}

function signatureOf(
  shape: Shape,
  echo: Signature<[unknown], unknown>,
  set: (value: number) => AnySignature,
): AnySignature {
  const each = (parts: readonly Shape[]) => parts.map((part) => signatureOf(part, echo, set)) as never;
  switch (shape.kind) {
    case "task":
      return shape.value === undefined ? echo : set(shape.value);
    case "chain":
      return chain(each(shape.parts));
    case "group":
      return group(each(shape.parts));
    case "chord":
      return chord(each(shape.parts), signatureOf(shape.body, echo, set) as never);
  }
}

function valueOf(shape: Shape, before?: unknown): unknown {
  switch (shape.kind) {
    case "task":
      return shape.value ?? before;
    case "chain":
      return shape.parts.reduce((value: unknown, part) => valueOf(part, value), before);
    case "group":
      return flat(shape.parts).map((part) => valueOf(part, before));
    case "chord":
      return valueOf(shape.body, flat(shape.parts).map((part) => valueOf(part, before)));
  }
}

/** A group in a group is part of it. */
function flat(parts: readonly Shape[]): Shape[] {
  return parts.flatMap((part) => part.kind === "group" ? flat(part.parts) : [part]);
}

/** The same with one of its first tasks failing. */
function spoiled(shape: Shape): Shape {
  if (shape.kind === "task") return { kind: "task", value: BAD };
  const [first, ...rest] = shape.parts;
  return { ...shape, parts: [spoiled(first), ...rest] };
}

async function runAll(app: App, seed: number): Promise<void> {
  const { echo } = app.module<typeof t>("t");
  const shapes = new Shapes(seed);
  for (let i = 0; i < WORKFLOWS; i++) {
    const shape = shapes.next(4);
    const sent = (shape: Shape) =>
      (signatureOf(shape, echo.s(), (value) => echo.si(value)) as Signature<[], unknown>).delay();
    const which = `workflow ${i} of seed ${seed}: ${JSON.stringify(shape)}`;
    assert.deepEqual(await sent(shape), valueOf(shape), which);
    await assert.rejects(sent(spoiled(shape)).get(), /RangeError/, which);
  }
}

describe("random workflows give what their shape says, and fail with a part that fails", () => {
  it("by a worker", async () => {
    const testing = await startTesting({ tasks: { t } });
    await runAll(testing.app, 1);
    await testing.close();
  });

  it("by an app that runs tasks itself", async () => {
    const app = new App({ alwaysEager: true, broker: "memory:eager-random" });
    app.register("t", t);
    await runAll(app, 2);
    await app.disconnect();
  });
});
