/**
 * Tasks that can't tell their end themselves, because their isolate is gone: it died, or was ended under them. **Settle**,
 * where no report comes. Rare enough that the main thread reads such messages whole.
 */
import type { Aftermath } from "../isolate/aftermath.ts";
import type { Death } from "../isolate/isolate.ts";
import type { Outcomes } from "../isolate/outcomes.ts";
import type { TaskDescription } from "../isolate/task_definition.ts";
import type { Following } from "../protocol/chord.ts";
import { MemoryLimitExceeded, TimeLimitExceeded, WorkerLostError } from "../protocol/errors.ts";
import { decodeTask, peekTask, type TaskRequest } from "../protocol/task_message.ts";
import type { StoredResult } from "../results/result_store.ts";
import type { BuriedMessage, Delivery, Settlement } from "../transport/transport.ts";
import type { Notices } from "./notices.ts";
import type { CompleteOptions } from "./worker_options.ts";

/** What losses have of their worker. */
export interface LossesParts {
  readonly options: CompleteOptions;
  readonly outcomes: Outcomes;
  readonly aftermath: Aftermath;
  readonly notices: Notices;
  /** By their names. */
  tasks(): ReadonlyMap<string, TaskDescription>;
  /** Whether its message was acknowledged before its run: it can't be given back. */
  isAcknowledged(delivery: Delivery): boolean;
  settle(settlement: Settlement, following: Following): void;
}

/** What becomes known of a task that could not tell its end itself. */
export interface Failure {
  readonly result?: StoredResult;
  /** Its error callbacks, and the parts of chords that end with it. */
  readonly following: Following;
}

const NOTHING: Following = { messages: [] };

export class Losses {
  readonly #parts: LossesParts;

  constructor(parts: LossesParts) {
    this.#parts = parts;
  }

  /** An isolate died: `started` ran in it, `unreported` had run and their outcome is lost. */
  died(
    reason: string,
    started: readonly Delivery[],
    unreported: readonly Delivery[],
    how: Death = "ended",
    wasCounted = false,
  ): void {
    this.#parts.notices.isolateDied(reason);
    const [only] = started;
    const isInnocent = how === "left behind";
    // Only where exactly one task ran is it known whose fault it was.
    const fails = started.length === 1 && !isInnocent &&
      (how === "out of memory" || !this.#runsAgainWhenLost(only));
    const outcome = wasCounted ? "return" : isInnocent ? "again" : "restore";
    if (fails) this.#failLost(only, reason, how);
    else this.#restart(started, reason, outcome);
    this.#restart(unreported, reason, outcome);
  }

  /** Another task was the reason that these ended. */
  interrupted(deliveries: readonly Delivery[], why: string): void {
    this.#restart(deliveries, why, "again");
  }

  /** To be run again; what was acknowledged before its run can't be, and its caller is told so. */
  #restart(deliveries: readonly Delivery[], why: string, outcome: "again" | "restore" | "return"): void {
    for (const delivery of deliveries) {
      if (this.#parts.isAcknowledged(delivery)) this.#failLost(delivery, why);
      else this.#parts.settle({ delivery, outcome }, NOTHING);
    }
  }

  /** It was ended because it ran longer than `seconds`. */
  overLimit(delivery: Delivery, seconds: number): void {
    const { notices, isAcknowledged, settle } = this.#parts;
    const request = this.#read(delivery);
    notices.overLimit(request?.task ?? "", request?.id ?? "", seconds);
    const { result, following } = this.#failure(delivery, request, () => new TimeLimitExceeded(seconds));
    if (isAcknowledged(delivery) || this.#acksTimeouts(request)) {
      settle({ delivery, outcome: "ack", result }, following);
    } else {
      const reason = `its task ran longer than its time limit of ${seconds} s`;
      notices.dead(delivery.queue, request?.id, reason);
      settle({ delivery, outcome: "dead", reason, result }, following);
    }
  }

  /** The process of a suspect died under it: it is to run again, and counted unless its start was. */
  crashed(delivery: Delivery, reason: string, wasCounted: boolean): void {
    const { notices, isAcknowledged, settle } = this.#parts;
    notices.isolateDied(reason);
    if (isAcknowledged(delivery)) this.#failLost(delivery, reason);
    else settle({ delivery, outcome: wasCounted ? "return" : "restore" }, NOTHING);
  }

  /** Workers died under it too often: it runs no more, and its caller is told so. */
  condemned(delivery: Delivery, reason: string): void {
    const request = this.#read(delivery);
    this.#parts.notices.dead(delivery.queue, request?.id, reason);
    const { result, following } = this.#failure(delivery, request, deadLetter(reason));
    this.#parts.settle({ delivery, outcome: "dead", reason, result }, following);
  }

  /** What its caller, and its error callbacks, are told of a message that the broker has put to the dead letters. */
  buried(message: BuriedMessage, reason: string): Failure {
    return this.#failure(message, this.#read(message), deadLetter(reason));
  }

  #failLost(delivery: Delivery, reason: string, how: Death = "ended"): void {
    const { notices, settle } = this.#parts;
    notices.counts.failed++;
    const because = (task: string) =>
      how === "out of memory"
        ? new MemoryLimitExceeded(`${task} took more memory than it may: ${reason}`)
        : new WorkerLostError(`the isolate that ran ${task} died: ${reason}`);
    const { result, following } = this.#failure(delivery, this.#read(delivery), because);
    settle({ delivery, outcome: "ack", result }, following);
  }

  #runsAgainWhenLost({ text }: Delivery): boolean {
    const { options, tasks } = this.#parts;
    const task = tasks().get(peekTask(text)?.task ?? "");
    return task?.options.rejectOnWorkerLost ?? options.settings.taskRejectOnWorkerLost;
  }

  #acksTimeouts(request: TaskRequest | undefined): boolean {
    const { options, tasks } = this.#parts;
    const task = tasks().get(request?.task ?? "");
    return task?.options.acksOnFailureOrTimeout ?? options.settings.taskAcksOnFailureOrTimeout;
  }

  /** What is stored of a failure, if anything is, the error callbacks that it has, and the parts of chords that end with it. */
  #failure(
    { replyTo }: BuriedMessage,
    request: TaskRequest | undefined,
    because: (task: string) => Error,
  ): Failure {
    if (request === undefined) return { following: NOTHING };
    const { tasks, outcomes, aftermath } = this.#parts;
    const { id, task: name } = request;
    const task = tasks().get(name) ?? { name, options: {} };
    const error = because(name);
    const text = outcomes.failure(request, task, error);
    return {
      result: text === "" ? undefined : { id, state: "FAILURE", text, ttl: outcomes.ttl(task), replyTo },
      // All error callbacks are sent as tasks: whoever could call them where the task has failed is gone.
      following: aftermath.failure(request, task, error, null, request.errbacks ?? []) ?? NOTHING,
    };
  }

  /** A message that an isolate has run can be read; one that can't has nobody who waits for it. */
  #read({ text }: BuriedMessage): TaskRequest | undefined {
    const { maxMessageBytes } = this.#parts.options.settings.brokerTransportOptions;
    try {
      return decodeTask(text, { maxBodyBytes: maxMessageBytes });
    } catch {
      return undefined;
    }
  }
}

function deadLetter(reason: string): (task: string) => Error {
  return (task) => new WorkerLostError(`the message of ${task} is a dead letter and runs no more: ${reason}`);
}
