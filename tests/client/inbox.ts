/** What an app has published, read from its broker as a worker would. */
import type { App } from "../../runtime/client/app.ts";
import { decodeEnvelope, type Envelope } from "../../runtime/protocol/envelope.ts";
import { decodeTask, type TaskRequest } from "../../runtime/protocol/task_message.ts";
import { uid } from "../../runtime/protocol/uid.ts";

let brokers = 0;

/** A fresh broker's URL. */
export function freshBroker(): string {
  return `memory:client-test-${++brokers}`;
}

/** A message as it stood in its queue. */
export interface Published {
  readonly queue: string;
  readonly envelope: Envelope;
  readonly request: TaskRequest;
}

/** Takes all messages out of `queues`. */
export async function published(app: App, ...queues: string[]): Promise<Published[]> {
  const transport = await app.transport();
  const receiver = await transport.receive({
    queues,
    worker: uid(),
    events: { lost() {}, dead() {}, restored() {}, trouble() {}, away() {} },
  });
  const deliveries = await receiver.exchange([], 1000);
  await receiver.exchange(deliveries.map((delivery) => ({ delivery, outcome: "ack" })), 0);
  await receiver[Symbol.asyncDispose]();
  return deliveries.map(({ queue, text }) => ({
    queue,
    envelope: decodeEnvelope(text),
    request: decodeTask(text),
  }));
}
