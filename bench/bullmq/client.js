/** BullMQ's client in the bench; `../client.ts` tells it what to do. Arguments: the port and number of a Redis. */
import process from "node:process";
import { createInterface } from "node:readline";
import { Queue, QueueEvents } from "bullmq";

/** Jobs that one command adds. */
const AT_ONCE = 1_000;

const connection = { host: "127.0.0.1", port: Number(process.argv[2]), db: Number(process.argv[3]) };
const queue = new Queue("bench", { connection });
const events = new QueueEvents("bench", { connection });
await events.waitUntilReady();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function publish({ count }) {
  const began = performance.now();
  for (let left = count; left > 0; left -= AT_ONCE) {
    const jobs = Array.from(
      { length: Math.min(left, AT_ONCE) },
      () => ({ name: "add", data: { x: 1, y: 2 } }),
    );
    await queue.addBulk(jobs);
  }
  return { seconds: (performance.now() - began) / 1000 };
}

async function call({ pauses }) {
  const ms = [];
  for (const pause of pauses) {
    await sleep(pause);
    const began = performance.now();
    const job = await queue.add("add", { x: 1, y: 2 });
    const value = await job.waitUntilFinished(events);
    ms.push(performance.now() - began);
    if (value !== 3) throw new Error(`add(1, 2) was ${value}`);
  }
  return { ms };
}

createInterface({ input: process.stdin }).on("line", async (line) => {
  const command = JSON.parse(line);
  console.log(JSON.stringify(await { publish, call }[command.do](command)));
});
