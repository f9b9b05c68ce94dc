/** The task of `token_stream.ts`: it stands for a language model, whose answer comes word by word. */
import { setTimeout } from "node:timers/promises";
import { task } from "../mod.ts";

export const answer = task(
  { bind: true, params: ["question"], messages: { maxMessages: 1_000, ttl: 300 } },
  async (ctx, question: string) => {
    const words = `You asked "${question}". Nobody knows, but it is good that you ask.`.split(" ");
    for (const word of words) {
      await ctx.send({ token: `${word} ` });
      await setTimeout(20);
    }
    return { tokens: words.length };
  },
);
