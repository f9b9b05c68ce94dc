/**
 * The floor of messages on RabbitMQ: the same ones through a durable queue with amqplib alone, `amqp_channel.ts send|read URL
 * COUNT`, in two processes. What is sent is confirmed, what is read is acknowledged, as in the product.
 */
import { Buffer } from "node:buffer";
import process from "node:process";
import { connect } from "amqplib";

const BATCH = 1_000;
const AHEAD = 500;
const [role, url, count] = process.argv.slice(2);
const connection = await connect(url, { noDelay: true });

async function send(queue: string, count: number): Promise<void> {
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue(queue);
  for (let n = 0; n < count; n++) {
    channel.sendToQueue(queue, Buffer.from(JSON.stringify({ n, text: "hello" })), { persistent: true });
    if (n % BATCH === BATCH - 1) await channel.waitForConfirms();
  }
  await channel.waitForConfirms();
}

async function read(queue: string, count: number): Promise<number> {
  const channel = await connection.createChannel();
  await channel.assertQueue(queue);
  await channel.prefetch(AHEAD);
  const ms = await new Promise<number>((resolve, reject) => {
    let next = 0;
    let began = 0;
    void channel.consume(queue, (message) => {
      if (message === null) return;
      if (next === 0) began = performance.now();
      const { n } = JSON.parse(message.content.toString());
      if (n !== next++) reject(new Error(`message ${n} in place of ${next - 1}`));
      if (next % (AHEAD / 2) === 0 || next === count) channel.ack(message, true);
      if (next === count) resolve(performance.now() - began);
    });
  });
  // The last acknowledgement is there before it.
  await channel.close();
  return ms;
}

if (role === "send") {
  await send("warm", Number(count));
  await send("messages", Number(count));
} else {
  await read("warm", Number(count));
  console.log(JSON.stringify({ ms: await read("messages", Number(count)) }));
}
await connection.close();
process.exit(0);
