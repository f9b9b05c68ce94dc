/** `stats` and `active_queues`: what a worker is and serves. */
import process from "node:process";
import { type Command, command } from "./command.ts";

/** By their names in Celery. */
export const factCommands: Readonly<Record<string, Command>> = {
  stats: command({}, (worker, _given, { clock }) => {
    const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
    return {
      total: worker.counts,
      pid: worker.pid,
      clock: String(clock),
      uptime: Math.floor(worker.uptime / 1000),
      pool: { "max-concurrency": worker.concurrency, slots: worker.slots, processes: [worker.pid] },
      broker: { url: worker.broker },
      prefetch_count: worker.inHand().length,
      rusage: { utime: userCPUTime / 1e6, stime: systemCPUTime / 1e6, maxrss: maxRSS },
    };
  }),
  active_queues: command({}, (worker) =>
    worker.queues.map((name) => ({
      name,
      exchange: { name, type: "direct", durable: true, auto_delete: false },
      routing_key: name,
      durable: true,
      exclusive: false,
      auto_delete: false,
      no_ack: false,
    }))),
};
