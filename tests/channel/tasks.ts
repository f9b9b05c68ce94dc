/** Tasks that talk with their callers, for the tests beside. */
import process from "node:process";
import { task } from "../../mod.ts";

/** Sends `count` numbers, waiting for room. */
export const count = task({ bind: true }, async (ctx, count: number) => {
  for (let n = 0; n < count; n++) await ctx.send(n);
  return count;
});

/** The same without waiting, and without a promise of its own. */
export const countAtOnce = task({ bind: true }, (ctx, count: number) => {
  for (let n = 0; n < count; n++) void ctx.send({ n });
  return "sent";
});

/** Sends back what it is told, in capitals, until it is told no more. */
export const echo = task({ bind: true }, async (ctx) => {
  let heard = 0;
  for await (const word of ctx.messages<string>()) {
    await ctx.send(word.toUpperCase());
    heard++;
  }
  return heard;
});

/** Reads one message and leaves the others. */
export const first = task({ bind: true }, async (ctx) => {
  for await (const message of ctx.messages()) return message;
});

/** Ends its isolate with a message in its hands. */
export const die = task({ bind: true }, async (ctx) => {
  for await (const _ of ctx.messages()) process.exit(1);
});

/** Tells how far it is, and waits to be told to go on. */
export const steps = task({ bind: true }, async (ctx, total: number) => {
  const orders = ctx.messages()[Symbol.asyncIterator]();
  for (let current = 1; current <= total; current++) {
    ctx.progress({ current, total });
    await orders.next();
  }
  return "done";
});

/** Sends and fails. */
export const fail = task({ bind: true }, async (ctx) => {
  await ctx.send("before");
  throw new RangeError("no more");
});

/** Sends more than its line may hold. */
export const flood = task(
  { bind: true, messages: { maxMessages: 5, patience: 0.2 } },
  async (ctx) => {
    for (let n = 0;; n++) await ctx.send(n);
  },
);

/** Sends more than its line may hold, of which the last count. */
export const latest = task(
  { bind: true, messages: { maxMessages: 3, whenFull: "drop-oldest" } },
  async (ctx) => {
    for (let n = 0; n < 3_000; n++) await ctx.send(n);
  },
);

/** Sends what no message can carry. */
export const badMessage = task({ bind: true }, (ctx) => {
  void ctx.send({ inner: () => 1 });
});

/** Stores nothing but what it sends. */
export const noResult = task({ bind: true, ignoreResult: true }, async (ctx) => {
  await ctx.send("all there is");
});

/** Waits for an order that does not come, for a while. */
export const impatient = task({ bind: true }, async (ctx) => {
  try {
    for await (const message of ctx.messages({ signal: AbortSignal.timeout(50) })) return message;
  } catch (error) {
    return (error as Error).name;
  }
});

/** Sends nothing. */
export function silent(): string {
  return "nothing said";
}
