/**
 * The floor of Redis: the product's own exchange script in a bare loop. Arguments: the broker's URL, messages a batch.
 * The order of the script's arguments stands in `runtime/transport/redis/exchange_script.ts`.
 */
import process from "node:process";
import { Command, Redis } from "ioredis";
import { exchangeScript } from "../../runtime/transport/redis/exchange_script.ts";
import { prioritySteps, RedisKeys } from "../../runtime/transport/redis/keys.ts";
import { tagsOf } from "../../runtime/transport/redis/tags.ts";
import { type Batch, drainBare } from "./lanes.ts";

const QUEUE = "celery";
const DAY = 86_400;
const [url, room = "64"] = process.argv.slice(2);

const redis = new Redis(url, { protocol: 2 });
const keys = new RedisKeys("", 0);
await redis.script("LOAD", exchangeScript.lua);
const lists = prioritySteps.map((step) => keys.list(QUEUE, step));
const head = [
  exchangeScript.sha,
  2 + lists.length,
  keys.unacked,
  keys.index,
  ...lists,
  tagsOf("floor"),
  room,
];
const ending = `,"",${JSON.stringify(QUEUE)}]`;
let next = 1;

async function step(tags: readonly number[], results: readonly string[]): Promise<Batch<number>> {
  const first = next;
  next += Number(room);
  const args: (string | number)[] = [
    ...head,
    first,
    0,
    16 * 1024 * 1024,
    tags.length / 2,
    results.length / 2,
    DAY,
    0,
    "",
  ];
  args.push(ending, ...tags);
  for (let i = 0; i < results.length; i += 2) args.push(`celery-task-meta-${results[i]}`, results[i + 1]);
  const command = new Command("evalsha", args as string[], { replyEncoding: "utf8" });
  const [, , , ...envelopes] = await redis.sendCommand(command) as string[];
  // All of step 0, so the tags of a batch are one range.
  const range = envelopes.length === 0 ? [] : [first * 10, (first + envelopes.length - 1) * 10];
  return { tags: range, envelopes };
}

await drainBare(step);
process.exit(0);
