/** What Python calls in these tests. */
import { chain, defaultApp, group, Ignore, Reject, task } from "../../../mod.ts";
import { describeValue } from "../describe.ts";
import { pass, store } from "../store.ts";

export const add = task({ params: ["x", "y"] }, (x: number, y: number) => x + y);

export const greet = task(
  { params: ["name", "greeting"] },
  (name: string, greeting = "Hello") => `${greeting}, ${name}!`,
);

export function echo(value: unknown): unknown {
  return value;
}

/** What arrived, as JavaScript sees it. */
export function describe(...args: unknown[]): string[] {
  return args.map(describeValue);
}

/** A value that only JavaScript can write, by its name. */
export function make(name: string): unknown {
  return {
    date: new Date(Date.UTC(2030, 0, 2, 3, 4, 5, 678)),
    bytes: new Uint8Array([0, 1, 254, 255]),
    bigint: 2n ** 80n,
    numbers: [NaN, Infinity, -Infinity, -0, 1.5, 1e300],
    undefined: undefined,
    map: new Map([["a", new Set([1, 2])]]),
    lone: "\ud800 and \u{1f600}",
    cycle: cycle(),
    function: { inner: [() => 1] },
  }[name];
}

function cycle(): unknown {
  const value: { self?: unknown } = {};
  value.self = [value];
  return value;
}

class QuotaError extends Error {
  override readonly name = "QuotaError";
}

class ValueError extends Error {
  override readonly name = "ValueError";
  readonly args: unknown[];

  constructor(message: string, ...codes: number[]) {
    super(message);
    this.args = [message, ...codes];
  }
}

/** Fails in the way of that name. */
export function fail(kind: string, message: string): never {
  switch (kind) {
    case "RangeError":
      throw new RangeError(message);
    case "TypeError":
      throw new TypeError(message);
    case "QuotaError":
      throw new QuotaError(message, { cause: new Error("the cause of it") });
    case "ValueError":
      throw new ValueError(message, 42);
    case "text":
      throw message;
  }
  throw new Error(message);
}

/** Leaves a trace beside its result. */
export async function note(list: string, text: string): Promise<void> {
  await store().rpush(list, text);
}

/** An error callback. */
export async function failed(id: string): Promise<void> {
  await store().rpush("failed", id);
}

/** Runs until somebody opens the gate. */
export const started = task({ trackStarted: true }, async (gate: string) => {
  await pass(gate);
  return "through";
});

export const progress = task({ bind: true }, async (ctx, gate: string) => {
  ctx.updateState({ state: "PROGRESS", meta: { current: 3, total: 10 } });
  await pass(gate);
  return "done";
});

/** What the worker made of the message. */
export const request = task({ bind: true }, (ctx) => ({
  id: ctx.id,
  name: ctx.name,
  kwargs: ctx.kwargs,
  retries: ctx.retries,
  eta: ctx.eta,
  expires: ctx.expires,
  headers: ctx.headers,
  rootId: ctx.rootId,
  parentId: ctx.parentId,
  group: ctx.group,
  correlationId: ctx.correlationId,
  redelivered: ctx.redelivered,
  delivery: ctx.deliveryInfo,
}));

export const silent = task({ ignoreResult: true }, async (list: string) => {
  await store().rpush(list, "ran");
  return "not kept";
});

/** Is retried so many times before it succeeds. */
export const again = task({ bind: true, maxRetries: 3 }, (ctx, times: number, value: unknown = 1.5) => {
  if (ctx.retries < times) throw ctx.retry({ exc: new ValueError("again"), countdown: 0.4 });
  return [ctx.retries, [value, { k: null }]];
});

export const gives_up = task({ bind: true, maxRetries: 1 }, (ctx) => ctx.retry({ countdown: 0 }));

/** Is to be run next by whoever reads that queue. */
export const requeued = task(
  { bind: true },
  (ctx, queue: string, _value: number) => ctx.retry({ queue, countdown: 0 }),
);

/** Computes without end. */
export function spin(): never {
  for (;;);
}

/** Waits until its time is over. */
export const heed = task({ bind: true }, async (ctx) => {
  await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
  ctx.signal.throwIfAborted();
});

export function ignores(): never {
  throw new Ignore();
}

export function rejects(): never {
  throw new Reject("not for me");
}

/** Lets others take its place, in both workers. */
export const becomes = task({ bind: true }, (ctx, what: string, x: number): unknown => {
  const app = defaultApp();
  const here = app.signature<number>("js.add", [x, 1], {}, { queue: "ours" });
  const there = app.signature<number>("py.add", [10], {}, { queue: "theirs" });
  if (what === "chain") return ctx.replace(chain(here, there));
  if (what === "group") return ctx.replace(group([here, there.clone({ args: [x] })]));
  return ctx.replace(there.clone({ args: [x] }));
});

/** Adds a part to its chord. */
export const adds = task({ bind: true }, (ctx, x: number) => {
  ctx.addToChord(defaultApp().signature("py.add", [x, 100], {}, { queue: "theirs" }));
  return x;
});

/** Sends a task and a group. */
export function sends(x: number): string {
  const app = defaultApp();
  const add = (y: number) => app.signature<number>("py.add", [x, y], {}, { queue: "theirs" });
  group([add(1), add(2)]).delay();
  return app.sendTask("py.request", [], {}, { queue: "theirs" }).id;
}
