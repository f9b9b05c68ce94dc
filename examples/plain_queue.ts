/**
 * A plain queue between any two programs: a Redis list and no tasks. Each message goes to one consumer. Start one end
 * here and the other with `plain_queue.py`, or both with either:
 *
 *     deno run -A examples/plain_queue.ts consume        (or: bun examples/plain_queue.ts consume)
 *     python examples/plain_queue.py produce
 */
import process from "node:process";
import { consume, produce } from "../mod.ts";

const url = process.env.CELERIAC_BROKER_URL || "redis://localhost:6379/0";
const queue = "orders";

switch (process.argv[2]) {
  case "produce":
    await produce("good morning", { queue, url });
    await produce({ order: 17, items: ["tea", "milk"] }, { queue, url });
    console.log("sent two messages");
    break;
  case "consume":
    // A timeout of 0 would wait for ever.
    for (let message; (message = await consume({ queue, timeout: 1, url })) !== undefined;) {
      console.log("got", JSON.stringify(message));
    }
    break;
  default:
    console.error("say what to do: produce or consume");
    process.exitCode = 2;
}
