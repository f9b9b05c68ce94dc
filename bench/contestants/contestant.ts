/** What stands side by side: each contestant has a worker, a client, and tells what it is. */
import type { Client } from "../client.ts";
import type { Program } from "../process.ts";
import type { BenchRedis } from "../redis_server.ts";

/** A contestant on the Redis of a part. */
export interface RedisContestant {
  /** As the tables name it. */
  readonly name: string;
  /** The number of its own database. */
  readonly db: number;
  /** Starts a worker with two processes or isolates; it may not be ready yet. */
  startWorker(redis: BenchRedis, options?: WorkerOptions): Program;
  startClient(redis: BenchRedis): Client;
  /** Tasks whose results are stored. */
  settled(redis: BenchRedis): Promise<number>;
}

/** What a worker may be told beside its place. */
export interface WorkerOptions {
  /** Processes or isolates. Default 2. */
  readonly concurrency?: number;
  /** Tasks at once in each isolate. Default 1. */
  readonly slots?: number;
  /** Default: `celery` alone. */
  readonly queues?: readonly string[];
  /** The worker's name. Default: its own choice. */
  readonly hostname?: string;
}
