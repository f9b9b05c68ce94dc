/**
 * Publish, where it is to outlast the loss of the master: a Redis hands what it has accepted on to its replicas a moment
 * later, so what it accepted last is lost with it, unless somebody has waited for them.
 */
import { BrokerUnavailableError, UnreplicatedError } from "../transport.ts";
import type { RedisConnection } from "./connection.ts";

/** How many replicas are waited for, and for how many seconds. */
export interface Replicas {
  readonly count: number;
  readonly timeout: number;
}

/**
 * Resolves when as many replicas have all that was sent on this connection so far and is answered.
 * @param generation The connection's, when it was sent: a new one knows nothing of that.
 * @throws {UnreplicatedError} When they have not confirmed it in time.
 * @throws {BrokerUnavailableError} When the connection was lost meanwhile, so that nobody knows.
 */
export async function awaitReplicas(
  connection: RedisConnection,
  { count, timeout }: Replicas,
  generation: number,
): Promise<void> {
  const { name } = connection.place;
  if (connection.generation !== generation) {
    throw new BrokerUnavailableError(`${name}: the connection was lost before replicas confirmed`);
  }
  const confirmed = await connection.send("wait", [count, Math.ceil(timeout * 1000)]) as number;
  if (confirmed >= count) return;
  throw new UnreplicatedError(
    `${name} has accepted what was sent, but ${confirmed} of ${count} replicas confirmed it within ${timeout} s: ` +
      `it would be lost with this server`,
  );
}
