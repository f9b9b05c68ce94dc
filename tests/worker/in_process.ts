/** A worker and a client in the test's own process, on a memory broker of their own. */
import { resolveSettings } from "../../runtime/config/resolve.ts";
import type { GivenSettings } from "../../runtime/config/settings.ts";
import { App } from "../../runtime/client/app.ts";
import { Worker } from "../../runtime/worker/worker.ts";
import type { WorkerOptions } from "../../runtime/worker/worker_options.ts";

let brokers = 0;

/** A fresh broker's URL. */
export function freshBroker(): string {
  return `memory:test-${++brokers}`;
}

/** An app and a way to start workers on its broker; `close` ends all of them. */
export function setUp(settings: GivenSettings = {}, broker = freshBroker()) {
  const app = new App({ ...settings, broker });
  const workers: Worker[] = [];
  return {
    app,
    broker,
    async worker(modules: readonly string[], options: Partial<WorkerOptions> = {}): Promise<Worker> {
      const worker = new Worker({
        settings: resolveSettings({ from: "the test", settings: { ...settings, brokerUrl: broker } }),
        modules,
        queues: ["celery"],
        concurrency: 1,
        slots: 1,
        hostname: `celery@test${workers.length}`,
        ...options,
      });
      workers.push(worker);
      await worker.start();
      return worker;
    },
    async close(): Promise<void> {
      for (const worker of workers) await worker.kill();
      await app.disconnect();
    },
  };
}
