/**
 * A caller that reads what a task sends, `messages.ts URL COUNT`: prints how long it took from the first message to the
 * last. On a broker in memory it has the worker itself.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import { App, Worker } from "../../mod.ts";

const [url, count] = process.argv.slice(2);
const app = new App({ broker: url });
const worker = url.startsWith("memory:")
  ? new Worker({
    settings: app.settings,
    modules: [fileURLToPath(new URL("./stream_tasks.ts", import.meta.url))],
    concurrency: 1,
  })
  : undefined;
await worker?.start();

/** Reads one stream; tells how long it took. */
async function read(count: number): Promise<number> {
  const messages = app.sendTask("stream_tasks.stream", [count]).messages<{ n: number }>();
  let next = 0;
  let began = 0;
  for await (const { n } of messages) {
    if (next === 0) began = performance.now();
    if (n !== next++) throw new Error(`message ${n} in place of ${next - 1}`);
  }
  if (next !== count) throw new Error(`${next} messages of ${count}`);
  return performance.now() - began;
}

// Once to be warm, as whoever it is compared with.
await read(Number(count));
const ms = await read(Number(count));
console.log(JSON.stringify({ ms }));
await worker?.kill();
await app.disconnect();
process.exit(0);
