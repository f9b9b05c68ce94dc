/**
 * The hubs of other workers: questions to them go out as Celery's remote control messages, which all transports carry. Each
 * is addressed to a name that no worker of Python's has, so that these stay silent.
 */
import type { Clock } from "../clock.ts";
import { withResolvers } from "../platform.ts";
import { askWorkers, type Patience } from "../transport/ask_workers.ts";
import type { Transport } from "../transport/transport.ts";
import type { CancelAnswer } from "./port.ts";

/** The commands of remote control. */
export const CANCEL_COMMAND = "timer_cancel";
export const LIST_COMMAND = "timers";

/** All hubs, as a destination. */
export const ALL_HUBS = "timers@*";

/** One hub, as a destination. */
export function hubAddress(hub: string): string {
  return `timers@${hub}`;
}

/** What a worker tells of its timers. */
export interface TimersOfWorker {
  /** How many it holds. */
  readonly count: number;
  /** The first of them to be due. */
  readonly timers: readonly ListedTimer[];
}

/** A timer as it is listed. */
export interface ListedTimer {
  /** By which it can be cancelled. */
  readonly id: string;
  /** The name of the task that it calls. */
  readonly task: string;
  /** When it is due, as ISO 8601. */
  readonly due: string;
  /** Seconds from one time to the next; null for a timer that is due once. */
  readonly every: number | null;
}

/** Has another hub cancel timers; tells of each in its order, `"unknown"` where there is no answer in time. */
export async function cancelAtHub(
  transport: Transport,
  clock: Clock,
  hub: string,
  ids: readonly string[],
  patience: Patience,
): Promise<CancelAnswer[]> {
  const question = { method: CANCEL_COMMAND, arguments: { ids }, destination: [hubAddress(hub)] };
  const answers = await askWorkers(transport, clock, question, { ...patience, limit: 1 });
  const outcomes: Record<string, unknown> = Object.assign({}, ...Object.values(answers));
  return ids.map((id) => {
    const outcome = outcomes[id];
    return outcome === "cancelled" || outcome === "too late" ? outcome : "unknown";
  });
}

/** Timers that one question asks for. */
const AT_ONCE = 1_000;

/** A timer to cancel, and who waits for what becomes of it. */
interface Cancelling {
  readonly id: string;
  readonly answered: PromiseWithResolvers<CancelAnswer>;
}

/** Cancels timers at other hubs, one question at a time to each: what comes meanwhile goes together. */
export class FarCancels {
  readonly #transport: () => Transport;
  readonly #clock: Clock;
  readonly #patience: Patience;
  /** By hub, while it is asked. */
  readonly #waiting = new Map<string, Cancelling[]>();

  constructor(transport: () => Transport, clock: Clock, patience: Patience) {
    this.#transport = transport;
    this.#clock = clock;
    this.#patience = patience;
  }

  /** @throws {BrokerUnavailableError} When the hub can't be asked. */
  cancel(hub: string, id: string): Promise<CancelAnswer> {
    const answered = withResolvers<CancelAnswer>();
    const waiting = this.#waiting.get(hub);
    if (waiting !== undefined) {
      waiting.push({ id, answered });
    } else {
      this.#waiting.set(hub, [{ id, answered }]);
      // What else is cancelled in this turn goes with it.
      queueMicrotask(() => this.#ask(hub));
    }
    return answered.promise;
  }

  async #ask(hub: string): Promise<void> {
    const waiting = this.#waiting.get(hub)!;
    while (waiting.length > 0) {
      const some = waiting.splice(0, AT_ONCE);
      const ids = some.map(({ id }) => id);
      try {
        const answers = await cancelAtHub(this.#transport(), this.#clock, hub, ids, this.#patience);
        some.forEach(({ answered }, i) => answered.resolve(answers[i]));
      } catch (error) {
        for (const { answered } of some) answered.reject(error);
      }
    }
    this.#waiting.delete(hub);
  }
}

/** The timers of all workers that answer in time, by the names of their nodes. */
export async function listHubs(
  transport: Transport,
  clock: Clock,
  patience: Patience,
): Promise<Record<string, TimersOfWorker>> {
  const question = { method: LIST_COMMAND, arguments: {}, destination: [ALL_HUBS] };
  const answers = await askWorkers(transport, clock, question, patience);
  const known = Object.entries(answers).filter(([, answer]) => Array.isArray(Object(answer).timers));
  return Object.fromEntries(known) as Record<string, TimersOfWorker>;
}
