/** The Redis of the test, for tasks that leave traces beside their results or wait for a gate to be opened. */
import process from "node:process";
import { Redis } from "ioredis";

let opened: Redis | undefined;

/** Connected when first used, on database and port of `CELERY_TEST_URL`. */
export function store(): Redis {
  return opened ??= new Redis(process.env.CELERY_TEST_URL!);
}

/** Waits until the test, or Python, has pushed something to the list `gate`; at most 20 s. */
export async function pass(gate: string): Promise<void> {
  // A connection of its own: one that blocks serves nobody else.
  const connection = store().duplicate();
  await connection.blpop(gate, 20);
  connection.disconnect();
}
