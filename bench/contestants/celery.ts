/**
 * Python's Celery, the newest: prefork with two processes, on Redis for both broker and results. What is said here is
 * said because it makes it faster; all else is as Celery has it by default, early acknowledgement too.
 */
import { python } from "../../tests/servers/python.ts";
import { Client } from "../client.ts";
import { Program, ROOT } from "../process.ts";
import type { BenchRedis } from "../redis_server.ts";
import type { RedisContestant } from "./contestant.ts";

const FOLDER = `${ROOT}bench/celery`;
const SETTINGS = [
  "--prefetch-multiplier",
  "64",
  "--without-gossip",
  "--without-mingle",
  "--without-heartbeat",
];

/** Makes the virtual environment when it is not there. */
export async function celery(db: number): Promise<RedisContestant> {
  const program = await python();
  const start = (redis: BenchRedis, args: readonly string[]) =>
    new Program([program, ...args], {
      BENCH_URL: redis.url(db),
      C_FORCE_ROOT: "1",
      PYTHONDONTWRITEBYTECODE: "1",
      PYTHONUNBUFFERED: "1",
    }, FOLDER);
  return {
    name: "Celery",
    db,
    startWorker: (redis, { concurrency = 2 } = {}) =>
      start(redis, [
        ...["-m", "celery", "-A", "tasks", "worker", "-l", "WARNING", "-Q", "celery"],
        ...["-P", "prefork", "-c", String(concurrency), ...SETTINGS],
      ]),
    startClient: (redis) => new Client(start(redis, ["client.py"])),
    settled: (redis) => redis.results(db),
  };
}
