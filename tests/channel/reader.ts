/** A process that prints the messages of an id, a line each: `reader.ts URL ID`. For tests that kill it. */
import process from "node:process";
import { Consumer } from "../../mod.ts";

const [url, id] = process.argv.slice(2);
const consumer = new Consumer(id, { url });
for await (const message of consumer) console.log(JSON.stringify(message));
console.log("end");
await consumer.close();
