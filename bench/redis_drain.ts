/** One turn of a contestant that empties a queue on Redis: filled, drained, watched, ended. */
import type { RedisContestant, WorkerOptions } from "./contestants/contestant.ts";
import { type Drained, watchDrain } from "./drain.ts";
import { rate } from "./figures.ts";
import type { Setting } from "./part.ts";

/** A contestant and what it has to drain. */
export interface Drainer {
  readonly contestant: Pick<RedisContestant, "name" | "db" | "startWorker" | "settled">;
  readonly options?: WorkerOptions;
  readonly tasks: number;
  /** Puts the tasks into its empty database. */
  fill(): Promise<void>;
}

/** Runs the turn. */
export async function drainRedis(drainer: Drainer, { redis, say, signal }: Setting): Promise<Drained> {
  const { contestant, options, tasks, fill } = drainer;
  const database = redis.connection(contestant.db);
  await database.flushdb();
  await fill();
  const worker = contestant.startWorker(redis, options);
  const drained = await watchDrain({
    settled: () => contestant.settled(redis),
    total: tasks,
    worker: () => worker.usage().cpu,
    server: () => redis.cpu(),
    alive: () => worker.isRunning,
    signal,
  });
  await worker.kill();
  await database.flushdb();
  say(`${contestant.name}: ${rate(drained.rate)} tasks/s`);
  return drained;
}
