/**
 * Python's Celery, the newest: prefork with two processes, on Redis for both broker and results. What is said here is
 * said because it makes it faster; all else is as Celery has it by default, early acknowledgement too.
 */
import { python } from "../../tests/servers/python.ts";
import { Client } from "../client.ts";
import { Program, ROOT } from "../process.ts";
import type { RedisContestant } from "./contestant.ts";

const FOLDER = `${ROOT}bench/celery`;
const SETTINGS = [
  "--prefetch-multiplier",
  "64",
  "--without-gossip",
  "--without-mingle",
  "--without-heartbeat",
];

const WORKER = ["-m", "celery", "-A", "tasks", "worker", "-l", "WARNING", "-Q", "celery"];

/** Makes the virtual environment when it is not there. */
export async function celery(db: number): Promise<RedisContestant> {
  const start = await starter();
  return {
    name: "Celery",
    db,
    startWorker: (redis, { concurrency = 2 } = {}) =>
      start({ BENCH_URL: redis.url(db) }, [
        ...WORKER,
        "-P",
        "prefork",
        "-c",
        String(concurrency),
        ...SETTINGS,
      ]),
    startClient: (redis) => new Client(start({ BENCH_URL: redis.url(db) }, ["client.py"])),
    settled: (redis) => redis.results(db),
  };
}

/** What starts Celery's worker, with two processes, and its client on any broker. */
export interface CeleryStarter {
  worker(url: string, backend: string): Program;
  client(url: string, backend: string): Client;
}

export async function celeryAnywhere(): Promise<CeleryStarter> {
  const start = await starter();
  const env = (url: string, backend: string) => ({ BENCH_URL: url, BENCH_BACKEND: backend });
  return {
    worker: (url, backend) => start(env(url, backend), [...WORKER, "-P", "prefork", "-c", "2", ...SETTINGS]),
    client: (url, backend) => new Client(start(env(url, backend), ["client.py"])),
  };
}

async function starter(): Promise<(env: Record<string, string>, args: readonly string[]) => Program> {
  const program = await python();
  const env = { C_FORCE_ROOT: "1", PYTHONDONTWRITEBYTECODE: "1", PYTHONUNBUFFERED: "1" };
  return (own, args) => new Program([program, ...args], { ...env, ...own }, FOLDER);
}
