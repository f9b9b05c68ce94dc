/** A Redis with a worker of ours and one of Python's, an app and a Python that call their tasks. */
import { App } from "../../mod.ts";
import { type PythonConsole, startCeleryWorker, startPython } from "../servers/celery.ts";
import { startRedis } from "../servers/redis.ts";
import { startWorker } from "../servers/worker.ts";

export interface BothSides {
  readonly app: App;
  readonly py: PythonConsole;
  close(): Promise<void>;
}

/**
 * Starts them. Python's worker serves the queue `theirs`.
 *
 * @param queues Those of our worker.
 * @param source What the Python runs first.
 */
export async function startBothSides(queues: string, source: string): Promise<BothSides> {
  const redis = await startRedis();
  const app = new App({ broker: redis.url });
  const [ours, theirs, py] = await Promise.all([
    startWorker(["-A", "tests/celery/tasks", "-b", redis.url, "-c", "1", "-Q", queues], {
      env: { CELERY_TEST_URL: redis.url },
    }),
    startCeleryWorker({ url: redis.url, queues: ["theirs"] }),
    startPython({ url: redis.url }),
  ]);
  await py.run(source);
  return {
    app,
    py,
    async close() {
      await app.disconnect();
      await py.stop();
      await Promise.all([ours.stop(), theirs.stop()]);
      await redis.stop();
    },
  };
}
