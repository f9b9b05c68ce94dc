/** Chords across languages: of either side, with parts and bodies on both, counted in one Redis. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Redis } from "ioredis";
import { App, chain, chord, ChordError, group } from "../../mod.ts";
import { eventually } from "../conformance/patience.ts";
import { type PythonConsole, startCeleryWorker, startPython } from "../servers/celery.ts";
import { startVhost } from "../servers/rabbitmq.ts";
import { type RedisServer, startRedis } from "../servers/redis.ts";
import { startWorker, type TestWorker } from "../servers/worker.ts";

/** Seconds. */
const SOON = { timeout: 30 };

/** The broker is the Redis that has the results, unless `openBroker` opens another. */
function chordsBetween(
  name: string,
  openBroker?: () => Promise<{ readonly url: string; close(): Promise<void> }>,
): void {
  describe(`chords on ${name}`, () => {
    let redis: RedisServer;
    let broker: { readonly url: string; close(): Promise<void> } | undefined;
    let store: Redis;
    let ours: TestWorker;
    let theirs: TestWorker;
    let py: PythonConsole;
    let app: App;

    const python = <R = number>(task: string, ...args: unknown[]) =>
      app.signature<R>(`py.${task}`, args, {}, { queue: "theirs" });
    const js = <R = number>(task: string, ...args: unknown[]) =>
      app.signature<R>(`js.${task}`, args, {}, { queue: "ours" });
    /** Both sides, for what is called the same on each. */
    const sides = [["ours", js], ["Python", python]] as const;

    before(async () => {
      redis = await startRedis();
      broker = await openBroker?.();
      const url = broker?.url ?? redis.url;
      store = new Redis(redis.url);
      app = new App({ broker: url, resultBackend: redis.url });
      const flags = ["-b", url, "--result-backend", redis.url, "-c", "2", "-Q", "ours"];
      [ours, theirs, py] = await Promise.all([
        startWorker(["-A", "tests/celery/tasks", ...flags], { env: { CELERY_TEST_URL: redis.url } }),
        startCeleryWorker({ url, backend: redis.url, queues: ["theirs"] }),
        startPython({ url, backend: redis.url }),
      ]);
      await py.run(`
from celery import chain, group, chord

def js(name, *args, **options):
    return task("js." + name).s(*args).set(queue="ours", **options)

def python(name, *args, **options):
    return task("py." + name).s(*args).set(queue="theirs", **options)
`);
    });
    after(async () => {
      await app?.disconnect();
      await py?.stop();
      await Promise.all([ours?.stop(), theirs?.stop()]);
      await broker?.close();
      store?.disconnect();
      await redis?.stop();
    });

    /** The keys of chords that are not done; what Celery leaves of those that have failed is no count. */
    const left = () => store.keys("celery-taskset-meta-*.s");

    it("those of Python's have parts and bodies on both sides", async () => {
      const parts = `[js("add", 1, 1), python("add", 2, 2), chain(js("add", 1, 2), python("add", 3)), ` +
        `chain(python("add", 3, 4), js("add", 1))]`;
      for (const side of ["js", "python"]) {
        const sent = await py.run(`chord(${parts})(${side}("echo")).get(timeout=30)`);
        assert.equal(sent, "[2, 4, 6, 8]", side);
        const upgraded = `chain(group(${parts}), ${side}("echo"), ${
          side === "js" ? "python" : "js"
        }("echo"))`;
        assert.equal(await py.run(`${upgraded}.apply_async().get(timeout=30)`), "[2, 4, 6, 8]", side);
      }
      await eventually(async () => assert.deepEqual(await left(), []));
    });

    it("ours have parts and bodies on both sides", async () => {
      const parts = [
        js("add", 1, 1),
        python("add", 2, 2),
        chain(js("add", 1, 2), python("add", 3)),
        chain(python("add", 3, 4), js("add", 1)),
      ];
      for (const [side, on] of sides) {
        assert.deepEqual(await chord(parts, on<number[]>("echo")).delay().get(SOON), [2, 4, 6, 8], side);
        const upgraded = chain(group(parts), on<number[]>("echo"), python<number[]>("echo"));
        assert.deepEqual(await upgraded.delay().get(SOON), [2, 4, 6, 8], side);
      }
      await eventually(async () => assert.deepEqual(await left(), []));
    });

    it("a chord is a part of another, and a group ends a part", async () => {
      for (const side of ["js", "python"]) {
        const inner = `chord([js("add", 1, 1), python("add", 2, 2)], ${side}("echo"))`;
        const nested = `chord([${inner}, python("add", 5, 5)])(${side}("echo")).get(timeout=30)`;
        assert.equal(await py.run(nested), "[[2, 4], 10]", side);
      }
      for (const [side, on] of sides) {
        const inner = chord([js("add", 1, 1), python("add", 2, 2)], on<number[]>("echo"));
        const nested = chord([inner, python<unknown>("add", 5, 5)], on("echo"));
        assert.deepEqual(await nested.delay().get(SOON), [[2, 4], 10], side);
        const ending = chain(on("add", 1, 2), group([js("add", 1), python("add", 2)]));
        const shaped = chord([ending, on<unknown>("add", 5, 5)], on("echo"));
        assert.deepEqual(await shaped.delay().get(SOON), [[4, 5], 10], side);
      }
    });

    it("a part that fails fails the body, whichever side counts last", async () => {
      // Python tells the size of a group that ends a part, too, which nobody counts.
      const before = await left();
      for (const failing of ["js", "python"]) {
        for (const body of ["js", "python"]) {
          const call = `
error = chord([${failing}("fail", "ValueError", "bad"), js("add", 1, 2), python("add", 1, 2)])(
    ${body}("echo")).get(timeout=30, propagate=False)
type(error).__name__, str(error)`;
          assert.match(
            await py.run(call),
            /^\('ChordError', .*Dependency [\w-]+ raised ValueError\(.*bad/,
            failing,
          );
        }
      }
      for (const [side, on] of sides) {
        for (const [, last] of sides) {
          const parts = [on("fail", "ValueError", "bad"), js("add", 1, 2), python("add", 1, 2)];
          await assert.rejects(chord(parts, last("echo")).delay().get(SOON), (error) => {
            assert.ok(error instanceof ChordError, side);
            assert.match(error.message, /^Dependency [\w-]+ raised ValueError\('bad'/);
            return true;
          });
        }
      }
      await eventually(async () => assert.deepEqual(await left(), before));
    });

    it("hundreds of parts on both sides come in order", async () => {
      const numbers = Array.from({ length: 200 }, (_, i) => i);
      const parts = numbers.map((i) => i % 2 === 0 ? js("add", i, 0) : python("add", i, 0));
      assert.deepEqual(await chord(parts, js<number[]>("echo")).delay().get(SOON), numbers);
      const theirs = `[(js if i % 2 else python)("add", i, 0) for i in range(200)]`;
      assert.equal(
        await py.run(`chord(${theirs})(python("echo")).get(timeout=30) == list(range(200))`),
        "True",
      );
    });
  });
}

chordsBetween("Redis");
chordsBetween("RabbitMQ, with results on Redis", startVhost);
