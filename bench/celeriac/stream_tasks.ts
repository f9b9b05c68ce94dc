/** The task whose messages the part `messages` counts. */
import { task } from "../../mod.ts";

/** Sends `count` small messages. */
export const stream = task({ bind: true }, async (ctx, count: number) => {
  for (let n = 0; n < count; n++) await ctx.send({ n, text: "hello" });
});
