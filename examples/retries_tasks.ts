/**
 * Tasks for `retries.ts`, whose world is busy at first: one asks to be retried, one is retried by its options, one
 * rejects its message.
 */
import { Reject, task } from "../mod.ts";

class BusyError extends Error {
  override readonly name = "BusyError";
}

/** Asks to be run again, with another delay each time, and tells of it. */
export const charge = task(
  {
    bind: true,
    maxRetries: 5,
    onRetry: (_ctx, error, _id, [order]) => console.log(`${order} waits: ${error}`),
  },
  (ctx, order: string): string => {
    if (ctx.retries < 2) {
      throw ctx.retry({ countdown: 0.1 * 2 ** ctx.retries, exc: new BusyError("the bank is busy") });
    }
    return `${order} is paid, at try ${ctx.retries + 1}`;
  },
);

/** Retried by itself for that error, twice, and then failed with it. */
export const sync = task(
  { autoretryFor: [BusyError], maxRetries: 2, retryKwargs: { countdown: 0.1 } },
  (account: string): string => {
    throw new BusyError(`${account} is locked`);
  },
);

/** Gives up a message that no retry would mend: it is kept as a dead letter. */
export function bill(order: { readonly total?: number }): number {
  if (order.total === undefined) throw new Reject("an order without a total");
  return order.total;
}
