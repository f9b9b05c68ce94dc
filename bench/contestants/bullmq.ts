/** BullMQ, the newest, on Node: handlers in one process, 100 at once. It keeps what it completed, as by default. */
import { Client } from "../client.ts";
import { Program, ROOT } from "../process.ts";
import type { BenchRedis } from "../redis_server.ts";
import type { RedisContestant } from "./contestant.ts";

const FOLDER = `${ROOT}bench/bullmq`;

/** BullMQ in a database of its own. */
export function bullmq(db: number): RedisContestant {
  const start = (redis: BenchRedis, file: string) =>
    new Program(["node", file, String(redis.port), String(db)], {}, FOLDER);
  return {
    name: "BullMQ, Node",
    db,
    startWorker: (redis) => start(redis, "worker.js"),
    startClient: (redis) => new Client(start(redis, "client.js")),
    settled: (redis) => redis.completedJobs(db),
  };
}
