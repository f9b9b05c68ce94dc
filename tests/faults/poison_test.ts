/**
 * A task that takes its whole worker down each time it runs there, among many that do no harm. Whoever looks after the
 * worker starts it again, as systemd and Kubernetes do.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runtimeName } from "../../runtime/platform.ts";
import { TaskError } from "../../runtime/protocol/errors.ts";
import { eventually, within } from "../conformance/patience.ts";
import { startRabbitmq } from "../servers/rabbitmq.ts";
import { startRedis } from "../servers/redis.ts";
import { startWorker, type TestWorker } from "../servers/worker.ts";
import { JOBS, Workshop } from "../worker/workshop.ts";

const INNOCENT = 1_000;
/** Seconds; so long after a worker's death its messages come back. */
const LEASE = 1;

/** Keeps a worker alive. */
class Supervisor {
  /** How often it had to start another one. */
  deaths = 0;
  readonly #args: readonly string[];
  readonly #options: { readonly cwd: string; readonly env: Readonly<Record<string, string>> };
  #worker: TestWorker | undefined;
  #isOver = false;
  readonly #ended: Promise<void>;

  constructor(shop: Workshop, env: Readonly<Record<string, string>>) {
    this.#args = ["-A", JOBS, "-b", shop.broker, "-c", "2"];
    this.#options = { cwd: shop.folder, env };
    this.#ended = this.#supervise();
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    this.#worker?.signal("SIGKILL");
    await this.#ended;
  }

  async #supervise(): Promise<void> {
    while (!this.#isOver) {
      try {
        this.#worker = await startWorker(this.#args, this.#options);
        if (this.#isOver) this.#worker.signal("SIGKILL");
        await this.#worker.exited;
      } catch {
        // It died before it could say that it was ready.
      }
      this.deaths++;
    }
  }
}

async function endsAmongTheDead(
  deadly: "killProcess" | "hoard",
  { broker, env = {}, maxDeliveries = 5 }: {
    broker?: string;
    env?: Readonly<Record<string, string>>;
    maxDeliveries?: number;
  } = {},
): Promise<void> {
  const settings = { brokerTransportOptions: { lease: LEASE, maxDeliveries } };
  const reason = new RegExp(`restored ${maxDeliveries} times`);
  const shop = await Workshop.open({ broker, settings });
  const supervisor = new Supervisor(shop, env);
  try {
    const echoes = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => shop.jobs.echo(from + i));
    const before = echoes(0, INNOCENT / 2);
    const guilty = shop.jobs[deadly]();
    const innocent = [...before, ...echoes(INNOCENT / 2, INNOCENT)];
    assert.deepEqual(
      await within(60_000, Promise.all(innocent), "the innocent"),
      Array.from({ length: INNOCENT }, (_, i) => i),
    );
    const error = await within(60_000, guilty.get().then(() => undefined, (error) => error), "its failure");
    assert.ok(error instanceof TaskError);
    assert.equal(error.type, "WorkerLostError");
    assert.match(error.message, /is a dead letter/);
    assert.match(error.message, reason);
    const letters = await (await shop.app.transport()).deadLetters("celery", 10);
    assert.equal(letters.length, 1);
    assert.match(letters[0].reason, reason);
    assert.ok(new TextDecoder().decode(letters[0].body).includes(guilty.id));
    await eventually(async () =>
      assert.deepEqual(await shop.length(), { ready: 0, delayed: 0, unacked: 0, dead: 1 })
    );
    assert.equal(supervisor.deaths, 1, "from its second run on it ends a process of its own only");
  } finally {
    await supervisor.stop();
    await shop[Symbol.asyncDispose]();
  }
}

describe(`a task that ends its whole worker, among ${INNOCENT} others, ends among the dead letters; the others succeed`, () => {
  it("on SQLite", () => endsAmongTheDead("killProcess"));

  it("on Redis", async () => {
    const redis = await startRedis();
    try {
      await endsAmongTheDead("killProcess", { broker: redis.url });
    } finally {
      await redis.stop();
    }
  });

  it("on RabbitMQ, which can't count crashes in a classic queue", async () => {
    const rabbitmq = await startRabbitmq();
    try {
      await endsAmongTheDead("killProcess", { broker: rabbitmq.url() });
    } finally {
      await rabbitmq.stop();
    }
  });

  // Elsewhere an isolate without memory ends alone, or takes all that the machine has.
  if (runtimeName === "deno") {
    it("because it takes all memory", () =>
      endsAmongTheDead("hoard", { maxDeliveries: 2, env: { DENO_V8_FLAGS: "--max-old-space-size=96" } }));
  }
});
