/** What workers on RabbitMQ go on through: a task that takes long, and a broker whose memory is full. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { eventually, within } from "../conformance/patience.ts";
import { type RabbitmqServer, startRabbitmq } from "../servers/rabbitmq.ts";
import { logOf, marksIn, Workshop } from "../worker/workshop.ts";

describe("on RabbitMQ", () => {
  let server: RabbitmqServer;
  let shop: Workshop;
  let shops = 0;

  before(async () => {
    server = await startRabbitmq();
  });
  after(async () => {
    await server.stop();
  });

  /** A workshop in a virtual host of its own. */
  async function inShop(run: () => Promise<void>): Promise<void> {
    const vhost = `shop${++shops}`;
    await server.addVhost(vhost);
    shop = await Workshop.open({ broker: server.url(vhost) });
    try {
      await run();
    } finally {
      await shop[Symbol.asyncDispose]();
    }
  }

  it("a task that takes long holds up none of the others", () =>
    inShop(async () => {
      const worker = await shop.worker("-c", "2");
      const gate = shop.gate();
      const long = shop.jobs.block(gate.path);
      await worker.line(/blocking/);
      const short = Array.from({ length: 10_000 }, (_, i) => shop.jobs.echo(i).get({ timeout: 120 }));
      assert.deepEqual(await Promise.all(short), short.map((_, i) => i));
      assert.equal((await shop.length()).ready, 0);
      await gate.open();
      assert.equal(await long.get({ timeout: 30 }), "let go");
    }));

  it("a broker whose memory is full takes acknowledgements, and the results when it has room", () =>
    inShop(async () => {
      const worker = await shop.worker("-c", "2");
      const marks = shop.file("marks");
      const gate = shop.gate();
      await shop.warmUp();
      const first = shop.jobs.markAndHold(marks, gate.path);
      await eventually(async () => assert.equal((await marksIn(marks)).length, 1));
      const ignored = Array.from(
        { length: 500 },
        () => shop.app.sendTask("jobs.mark", [marks], {}, { ignoreResult: true }).published,
      );
      const asked = Array.from({ length: 50 }, (_, i) => shop.jobs.echo(i));
      await Promise.all([...ignored, ...asked.map(({ published }) => published)]);
      await server.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.00001).");
      try {
        await gate.open();
        await within(30_000, worker.line(/takes no messages at the moment/), "the word of it");
        await eventually(async () => assert.equal((await marksIn(marks)).length, 501), 30_000);
        await eventually(async () => assert.ok(await unacknowledged(server) <= 51), 30_000);
        await assert.rejects(
          shop.app.sendTask("jobs.echo", [1], {}, { publishTimeout: 1 }).published,
          /has not confirmed it in time/,
        );
      } finally {
        await server.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.9).");
      }
      assert.deepEqual(
        await Promise.all(asked.map((result) => result.get({ timeout: 60 }))),
        asked.map((_, i) => i),
      );
      assert.equal(await first.get({ timeout: 60 }), "let go");
      assert.equal(logOf(worker).filter(({ message }) => message.includes("takes no messages")).length, 1);
      assert.equal(logOf(worker).filter(({ message }) => message.includes("takes messages again")).length, 1);
      assert.equal((await marksIn(marks)).length, 501);
    }));

  it("a task that takes longer than RabbitMQ waits runs again, and its worker says what to do", () =>
    inShop(async () => {
      await server.evaluate(patience(1_000, 200));
      const worker = await shop.worker("-c", "2", "--time-limit", "3600");
      await worker.line(/more than 30 minutes/);
      const marks = shop.file("marks");
      const gate = shop.gate();
      const long = shop.jobs.markAndHold(marks, gate.path);
      await within(
        30_000,
        worker.line(/it runs again\. Raise RabbitMQ's consumer_timeout/),
        "the word of it",
      );
      await server.evaluate(patience(1_800_000, 60_000));
      await eventually(async () => assert.equal((await marksIn(marks)).length, 2), 30_000);
      await gate.open();
      assert.equal(await long.get({ timeout: 60 }), "let go");
      assert.equal(await shop.jobs.echo("after it").get({ timeout: 60 }), "after it");
    }));
});

/** Milliseconds that a channel opened from now on waits for an acknowledgement, and between two looks at that. */
function patience(timeout: number, interval: number): string {
  return `application:set_env(rabbit, consumer_timeout, ${timeout}), ` +
    `application:set_env(rabbit, channel_tick_interval, ${interval}).`;
}

/** Messages in the hands of all workers. */
async function unacknowledged(server: RabbitmqServer): Promise<number> {
  const counts = await server.evaluate(
    "[rabbit_amqqueue:info(Q, [messages_unacknowledged]) || Q <- rabbit_amqqueue:list()].",
  );
  return [...counts.matchAll(/messages_unacknowledged,(\d+)/g)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  );
}
