/**
 * The floor of RabbitMQ: the calls of amqplib that the product makes, in a bare loop. Messages come on one connection;
 * results go out on another, are confirmed, and only then are their messages acknowledged, as many at once as follow one
 * another. Arguments: the broker's URL, messages a batch.
 */
import { Buffer } from "node:buffer";
import process from "node:process";
import type { ConsumeMessage, Message } from "amqplib";
import { connect } from "amqplib";
import { type Batch, drainBare } from "./lanes.ts";

const QUEUE = "celery";
const [url, room = "64"] = process.argv.slice(2);
const PREFETCH = 512;
/** Milliseconds without a message after which the queue counts as empty: a broker that writes much to disk stands still. */
const EMPTY = 10_000;

const receiving = await (await connect(url, { noDelay: true })).createChannel();
const publishing = await (await connect(url, { noDelay: true })).createConfirmChannel();

/** What has come and was not handed out, and who waits for it. */
let waiting: ConsumeMessage[] = [];
let wake = () => {};
const replyTo = new Map<number, string>();
const finished = new Set<number>();
let oldest = 1;

await receiving.prefetch(PREFETCH);
await receiving.consume(QUEUE, (message) => {
  waiting.push(message!);
  wake();
});

async function step(tags: readonly number[], results: readonly string[]): Promise<Batch<number>> {
  if (tags.length > 0) {
    await publish(tags, results);
    acknowledge(tags);
  }
  while (waiting.length === 0) {
    const came = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), EMPTY);
      const before = wake;
      wake = () => {
        clearTimeout(timer);
        before();
        resolve(true);
      };
    });
    wake = () => {};
    if (!came) return { tags: [], envelopes: [] };
  }
  const batch = waiting.slice(0, Number(room));
  waiting = waiting.slice(batch.length);
  return {
    tags: batch.map(({ fields, properties }) => {
      replyTo.set(fields.deliveryTag, properties.replyTo);
      return fields.deliveryTag;
    }),
    envelopes: batch.map(({ content, properties: { headers } }) =>
      `{"body": "${content.toString("base64")}", "headers": ${JSON.stringify(headers)}}`
    ),
  };
}

function publish(tags: readonly number[], results: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    let left = tags.length;
    const confirmed = () => {
      if (--left === 0) resolve();
    };
    for (let i = 0; i < tags.length; i++) {
      publishing.publish("", replyTo.get(tags[i])!, Buffer.from(results[2 * i + 1]), {
        correlationId: results[2 * i],
        contentType: "application/json",
        contentEncoding: "utf-8",
        deliveryMode: 2,
        priority: 0,
      }, confirmed);
      replyTo.delete(tags[i]);
    }
  });
}

function acknowledge(tags: readonly number[]): void {
  for (const tag of tags) finished.add(tag);
  let last = 0;
  while (finished.delete(oldest)) last = oldest++;
  if (last > 0) receiving.ack({ fields: { deliveryTag: last } } as Message, true);
}

await drainBare(step);
process.exit(0);
