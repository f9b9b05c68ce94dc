/** celeriac's client in the bench; `../client.ts` tells it what to do. Arguments: the broker's URL. */
import process from "node:process";
import { createInterface } from "node:readline";
import { App } from "../../mod.ts";
import type { Calls, Flight, Workflow } from "../client.ts";
import { runWorkflow } from "./workflows.ts";

type Command =
  | { readonly do: "publish"; readonly count: number }
  | { readonly do: "flight"; readonly count: number }
  | { readonly do: "call" } & Calls
  | { readonly do: "workflow" } & Workflow;

/** Calls of one tick, which leave together. */
const AT_ONCE = 1_000;
/** Milliseconds between two looks at how late the event loop is. */
const TICK = 2;

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

/** Makes all calls at once and waits for all values; between them a timer measures how late it is served. */
async function flight(count: number): Promise<Flight> {
  const late: number[] = [];
  let due = performance.now() + TICK;
  const tick = () => {
    const now = performance.now();
    late.push(now - due);
    due = now + TICK;
    timer = setTimeout(tick, TICK);
  };
  let timer = setTimeout(tick, TICK);
  const began = performance.now();
  const results = Array.from({ length: count }, (_, i) => app.sendTask<number>("tasks.add", [i, 1]));
  const calling = performance.now() - began;
  const values = await Promise.all(results);
  const seconds = (performance.now() - began) / 1000;
  clearTimeout(timer);
  values.forEach((value, i) => {
    if (value !== i + 1) throw new Error(`add(${i}, 1) was ${value}`);
  });
  return { seconds, calling, late };
}

// Reads with no line lost between two commands; each is answered before the next is asked.
createInterface({ input: process.stdin }).on("line", async (line) => {
  const command = JSON.parse(line) as Command;
  const answer = command.do === "publish"
    ? await publish(command.count)
    : command.do === "flight"
    ? await flight(command.count)
    : command.do === "workflow"
    ? await runWorkflow(app, command)
    : await call(command);
  console.log(JSON.stringify(answer));
}).on("close", () => app.disconnect());
