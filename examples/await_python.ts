/**
 * Awaits a task of a Python worker over RabbitMQ, result and all, while a clock ticks: nothing here ever blocks.
 * `slow_tasks.py` has the task and says how to start its worker.
 *
 *     deno run -A examples/await_python.ts        (or: bun examples/await_python.ts)
 */
import process from "node:process";
import { App } from "../mod.ts";

const app = new App({ broker: process.env.CELERIAC_BROKER_URL ?? "amqp://guest:guest@localhost:5672/" });

let ticks = 0;
const clock = setInterval(() => console.log(`tick ${++ticks}`), 100);

const reports = ["January", "February"].map((month) =>
  app.sendTask<string>("reports.build", [month], { seconds: 1 }, { queue: "reports" })
);
for (const report of reports) console.log(await report);

clearInterval(clock);
await app.disconnect();
