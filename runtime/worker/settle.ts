/** What a report from an isolate means for its delivery: **settle**. Pure, so that the rules stand in one place. */
import { Report } from "../isolate/isolate.ts";
import { WorkerLostError } from "../protocol/errors.ts";
import { encodeFailure } from "../protocol/result_meta.ts";
import { peekTask } from "../protocol/task_message.ts";
import type { StoredResult } from "../results/result_store.ts";
import type { Delivery, Settlement } from "../transport/transport.ts";

const STATES: Readonly<Record<number, string>> = {
  [Report.SUCCESS]: "SUCCESS",
  [Report.FAILURE]: "FAILURE",
  [Report.EXPIRED]: "REVOKED",
  [Report.DEAD]: "FAILURE",
};

/** The settlement of a delivery by its report; `ttl` (seconds) is for failures of what never became a task. */
export function settlementOf(
  delivery: Delivery,
  report: number,
  id: string,
  text: string,
  extra: number | string,
  ttl: number,
): Settlement {
  const { replyTo } = delivery;
  switch (report) {
    case Report.REQUEUE:
      return { delivery, outcome: "return" };
    case Report.DELAYED:
      return { delivery, outcome: "delay", due: extra as number };
    case Report.DEAD: {
      const result = text === "" ? undefined : { id, state: "FAILURE", text, ttl, replyTo };
      return { delivery, outcome: "dead", reason: extra as string, result };
    }
    default: {
      if (text === "") return { delivery, outcome: "ack" };
      return {
        delivery,
        outcome: "ack",
        result: { id, state: STATES[report], text, ttl: extra as number, replyTo },
      };
    }
  }
}

/** The failure of a task whose isolate died under it. */
export function workerLost(
  delivery: Delivery,
  reason: string,
  now: number,
  ttl: number,
): StoredResult | undefined {
  const task = peekTask(delivery.text);
  if (task === undefined) return undefined;
  const error = new WorkerLostError(`the isolate that ran ${task.task} died: ${reason}`);
  const text = encodeFailure(task.id, error, now, { taskModule: "billiard.exceptions" });
  return { id: task.id, state: "FAILURE", text, ttl, replyTo: delivery.replyTo };
}
