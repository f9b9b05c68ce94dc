/** The floors: the product's own steps of a broker in a bare loop, see `../floors/`. They have no client. */
import { Program, ROOT } from "../process.ts";
import type { BenchRedis } from "../redis_server.ts";
import { type Runtime, runtimeNames, runtimes } from "./celeriac.ts";

/** Messages a batch: the fastest of those tried, on each broker. */
const BATCH = { redis: 64, sqlite: 256, amqp: 64 };

/** The floor of a broker on a runtime; it ends when the queue is empty. */
export function startFloor(broker: keyof typeof BATCH, runtime: Runtime, url: string): Program {
  return new Program([...runtimes[runtime], `${ROOT}bench/floors/${broker}.ts`, url, String(BATCH[broker])]);
}

/** The floor on the Redis of a part. */
export function redisFloor(runtime: Runtime, db: number) {
  return {
    name: `floor, ${runtimeNames[runtime]}`,
    db,
    startWorker: (redis: BenchRedis) => startFloor("redis", runtime, redis.url(db)),
    settled: (redis: BenchRedis) => redis.results(db),
  };
}
