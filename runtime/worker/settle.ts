/** What a report from an isolate means for its delivery: **settle**. Pure, so that the rules stand in one place. */
import { Report } from "../isolate/isolate.ts";
import type { Following } from "../protocol/chord.ts";
import type { Delivery, Settlement } from "../transport/transport.ts";

const STATES: Readonly<Record<number, string>> = {
  [Report.SUCCESS]: "SUCCESS",
  [Report.FAILURE]: "FAILURE",
  [Report.EXPIRED]: "REVOKED",
  [Report.DEAD]: "FAILURE",
  [Report.RETRY]: "RETRY",
};

/**
 * The settlement of a delivery by its report; `ttl` (seconds) is for failures of what never became a task. What follows it
 * is published in the same step; a message that names no place goes to the queue that the delivery came from.
 */
export function settlementOf(
  delivery: Delivery,
  report: number,
  id: string,
  text: string,
  extra: number | string,
  ttl: number,
  follow?: Following,
): Settlement {
  const settlement = outcomeOf(delivery, report, id, text, extra, ttl);
  if (follow === undefined || follow.messages.length === 0) return settlement;
  const { queue } = delivery;
  const addressed = follow.messages.map((message) =>
    message.exchange === "" && message.routingKey === "" ? { ...message, routingKey: queue } : message
  );
  return { ...settlement, follow: addressed };
}

function outcomeOf(
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
