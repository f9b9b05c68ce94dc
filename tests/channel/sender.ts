/** A process that sends numbers without end and prints those that are stored: `sender.ts URL ID`. For tests that kill it. */
import process from "node:process";
import { Producer } from "../../mod.ts";

const [url, id] = process.argv.slice(2);
const producer = new Producer<number>(id, { url, maxMessages: 1_000_000 });
for (let n = 0;; n += 10) {
  await producer.sendMessages(Array.from({ length: 10 }, (_, i) => n + i));
  console.log(n + 9);
}
