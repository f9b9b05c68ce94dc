/**
 * The floor of messages on Redis: the same ones through a list with ioredis alone, `channel.ts send|read URL COUNT`, in two
 * processes. Neither bounds the list, nor would find its place again if it or the connection were lost.
 */
import process from "node:process";
import { Redis } from "ioredis";

const BATCH = 256;
const [role, url, count] = process.argv.slice(2);
const redis = new Redis(url, { protocol: 2 });

async function send(list: string, count: number): Promise<void> {
  for (let n = 0; n < count; n += BATCH) {
    const texts = Array.from(
      { length: Math.min(BATCH, count - n) },
      (_, i) => JSON.stringify({ n: n + i, text: "hello" }),
    );
    await redis.rpush(list, ...texts);
  }
}

async function read(list: string, count: number): Promise<number> {
  let next = 0;
  let began = 0;
  while (next < count) {
    const texts = await redis.lpop(list, BATCH) ?? [(await redis.blpop(list, 0))![1]];
    if (next === 0) began = performance.now();
    for (const text of texts) {
      const { n } = JSON.parse(text);
      if (n !== next++) throw new Error(`message ${n} in place of ${next - 1}`);
    }
  }
  return performance.now() - began;
}

if (role === "send") {
  await send("warm", Number(count));
  await send("messages", Number(count));
} else {
  await read("warm", Number(count));
  console.log(JSON.stringify({ ms: await read("messages", Number(count)) }));
}
redis.disconnect();
process.exit(0);
