import assert from "node:assert/strict";
import process from "node:process";
import { describe, it } from "node:test";
import { eventually, within } from "../conformance/patience.ts";
import { startRabbitmq } from "../servers/rabbitmq.ts";
import { startRedis } from "../servers/redis.ts";
import { startProxy } from "../servers/tcp_proxy.ts";
import type { TestWorker } from "../servers/worker.ts";
import { logOf, Workshop } from "../worker/workshop.ts";
import { Load } from "./load.ts";
import { below, seeded } from "./seed.ts";

/** How many tasks are under way in all: `TASKS=20000 PAUSE=20 make test FILES=broker_away` for as many. */
const TASKS = Number(process.env.TASKS ?? 2_000);
/** For how many seconds the broker stands still. */
const PAUSE = Number(process.env.PAUSE ?? 3);
const RECOVERY_MS = 45_000;

/** A broker that a test does harm to. */
interface Broker {
  readonly port: number;
  /** As a power cut does; what it has accepted is on its disk. */
  kill(): Promise<void>;
  start(): Promise<void>;
  pause(): void;
  resume(): void;
  stop(): Promise<void>;
}

interface Kind {
  readonly name: string;
  start(): Promise<Broker>;
  /** The URL of one that listens at a port. */
  url(port: number): string;
}

const kinds: readonly Kind[] = [
  {
    name: "Redis",
    start: () => startRedis({ appendonly: true }),
    url: (port) => `redis://127.0.0.1:${port}/0`,
  },
  {
    name: "RabbitMQ",
    start: () => startRabbitmq(),
    // It counts as gone when it has said nothing for twice as long.
    url: (port) => `amqp://127.0.0.1:${port}/?heartbeat=1`,
  },
];

const pass = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

for (const kind of kinds) {
  describe(`a ${kind.name} that is restarted, stands still and is cut off`, () => {
    it(`loses none of ${TASKS} tasks that are published, run and awaited meanwhile`, async () => {
      const random = seeded(`${kind.name} away`);
      const broker = await kind.start();
      const proxy = await startProxy(broker.port);
      const shop = await Workshop.open({ broker: kind.url(proxy.port), settings: { publishTimeout: 60 } });
      try {
        const load = new Load(shop);
        const duration = () => below(random, 5);
        const workers = await Promise.all([1, 2].map(() => shop.worker("-c", "1", "--slots", "4")));
        const [worker, other] = workers;
        /** Does harm while a fifth more of the tasks is sent, then waits until that has run. */
        let sent = 0;
        const while_ = async (what: string, harm: () => Promise<void>) => {
          load.send(TASKS / 10, duration);
          await within(60_000, load.reached(sent + TASKS / 20), `work before it is ${what}`);
          await harm();
          sent += TASKS / 5;
          const back = performance.now();
          await within(RECOVERY_MS, load.reached(sent), `the rest after it was ${what}`);
          console.log(
            `${kind.name} ${what}: all done ${((performance.now() - back) / 1000).toFixed(1)} s later`,
          );
        };

        await while_("restarted", async () => {
          await broker.kill();
          load.send(TASKS / 10, duration);
          await broker.start();
        });
        await while_("stopped for a while", async () => {
          broker.pause();
          load.send(TASKS / 10, duration);
          await pass(PAUSE * 1000);
          broker.resume();
        });
        await while_("cut off", async () => {
          proxy.refuse();
          proxy.cut();
          load.send(TASKS / 10, duration);
          await pass(1_000);
          proxy.accept();
        });
        await while_("silent", async () => {
          proxy.hold();
          load.send(TASKS / 10, duration);
          await pass(1_000);
          proxy.cut();
          proxy.accept();
        });
        // A worker that is told to stop while its broker is away still knows what to do.
        await while_("away while a worker stops", async () => {
          proxy.refuse();
          proxy.cut();
          load.send(TASKS / 10, duration);
          await other.line(/Lost/);
          other.signal("SIGTERM");
          await pass(500);
          proxy.accept();
        });
        assert.equal(await within(20_000, other.exited, "the end of the worker that was told to stop"), 0);
        await within(RECOVERY_MS, load.complete(), "the last result");
        console.log(`${kind.name} away: ${TASKS} tasks, ${await load.secondRuns()} second runs`);
        // What was sent a second time, because nobody knew whether it had arrived, runs a second time.
        await eventually(async () => {
          assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 0 });
        }, RECOVERY_MS);
        // Once at each change, and nothing but that.
        const changes = said(worker);
        assert.ok(changes.length >= 2, changes.join("\n"));
        for (const [i, line] of changes.entries()) {
          assert.match(line, i % 2 === 0 ? /^Lost .*: / : /^Connected to .* again\.$/, changes.join("\n"));
        }
        assert.equal(await within(10_000, worker.stop(), "its end"), 0);
      } finally {
        await shop[Symbol.asyncDispose]();
        await proxy.close();
        await broker.stop();
      }
    });
  });
}

/** What a worker has said of its broker's coming and going. */
function said(worker: TestWorker): string[] {
  return logOf(worker).filter(({ logger }) => logger === "celeriac.worker").map(({ message }) => message)
    .filter((message) =>
      !/ ready\.$|messages are not this worker's any more|Restored \d+ messages/.test(message)
    );
}
