/** celeriac's client in the bench; `../client.ts` tells it what to do. Arguments: the broker's URL. */
import process from "node:process";
import { createInterface } from "node:readline";
import { App } from "../../mod.ts";
import type { Calls } from "../client.ts";

type Command = { readonly do: "publish"; readonly count: number } | { readonly do: "call" } & Calls;

/** Calls of one tick, which leave together. */
const AT_ONCE = 1_000;

const app = new App({ broker: process.argv[2] });
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function publish(count: number): Promise<{ seconds: number }> {
  const began = performance.now();
  for (let left = count; left > 0; left -= AT_ONCE) {
    let last;
    for (let i = Math.min(left, AT_ONCE); i > 0; i--) last = app.sendTask("tasks.add", [1, 2]);
    await last!.published;
  }
  return { seconds: (performance.now() - began) / 1000 };
}

async function call({ pauses, queues = [], priorities = [] }: Calls): Promise<{ ms: number[] }> {
  const ms: number[] = [];
  for (let i = 0; i < pauses.length; i++) {
    await sleep(pauses[i]);
    const queue = queues[i % queues.length];
    const priority = priorities[i % priorities.length];
    const began = performance.now();
    const value = await app.sendTask<number>("tasks.add", [1, 2], {}, { queue, priority });
    ms.push(performance.now() - began);
    if (value !== 3) throw new Error(`add(1, 2) was ${value}`);
  }
  return { ms };
}

// Reads with no line lost between two commands; each is answered before the next is asked.
createInterface({ input: process.stdin }).on("line", async (line) => {
  const command = JSON.parse(line) as Command;
  const answer = command.do === "publish" ? await publish(command.count) : await call(command);
  console.log(JSON.stringify(answer));
});
