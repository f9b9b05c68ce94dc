/**
 * What a worker that starts asks of those that run already (Celery: mingle), where nothing but workers knows what was
 * revoked: RabbitMQ, with results over AMQP. Beside the way of a task.
 */
import { type Clock, sleep } from "../clock.ts";
import { askWorkers } from "../transport/ask_workers.ts";
import { BrokerUnavailableError, type Transport } from "../transport/transport.ts";
import type { ControlledWorker } from "./control/command.ts";
import { idsOf } from "./control/life.ts";

/** Seconds that answers are waited for. */
const TIMEOUT = 1;
/** Milliseconds between two tries while the broker is away, which its receiver says. */
const PAUSE_MS = 1_000;

/** Learns from its neighbours which tasks are not to run, and tells them what it knows itself. */
export async function askNeighbours(
  transport: Transport,
  clock: Clock,
  worker: Pick<ControlledWorker, "node" | "revoked" | "revoke">,
  signal: AbortSignal,
): Promise<void> {
  const question = { method: "hello", arguments: { from_node: worker.node, revoked: worker.revoked } };
  const answers = await whenReachable(
    () => askWorkers(transport, clock, question, { timeout: TIMEOUT, signal }),
    clock,
    signal,
  );
  const known = new Set(worker.revoked);
  const news = Object.values(answers)
    .flatMap((answer) => idsOf((answer as { revoked?: unknown } | null)?.revoked))
    .filter((id) => !known.has(id));
  if (news.length > 0) await worker.revoke(news);
}

async function whenReachable<T>(ask: () => Promise<T>, clock: Clock, signal: AbortSignal): Promise<T> {
  for (;;) {
    signal.throwIfAborted();
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof BrokerUnavailableError) || error.permanent) throw error;
      await sleep(clock, PAUSE_MS, signal);
    }
  }
}
