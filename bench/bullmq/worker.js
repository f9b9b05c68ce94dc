/** BullMQ's worker in the bench: handlers in its own process, 100 at once. Arguments: the port and number of a Redis. */
import process from "node:process";
import { Worker } from "bullmq";

const connection = { host: "127.0.0.1", port: Number(process.argv[2]), db: Number(process.argv[3]) };
const add = ({ data: { x, y } }) => Promise.resolve(x + y);
const worker = new Worker("bench", add, { connection, concurrency: 100 });
await worker.waitUntilReady();
console.log("ready");
