/**
 * A worker as remote control reaches it: what it has in its hands, and how one task of that is dropped or ended. Beside
 * the way of a task, and on it only where tasks were revoked: then these take their leave before the step **dispatch**.
 */
import process from "node:process";
import type { Clock } from "../clock.ts";
import type { Aftermath } from "../isolate/aftermath.ts";
import type { Outcomes } from "../isolate/outcomes.ts";
import type { TaskDescription } from "../isolate/task_definition.ts";
import type { Following } from "../protocol/chord.ts";
import { TaskRevokedError } from "../protocol/errors.ts";
import { decodeTask, peekTask, type TaskRequest } from "../protocol/task_message.ts";
import type { StoredResult } from "../results/result_store.ts";
import { revokedStamps } from "../transport/revoked_ids.ts";
import type { Delivery } from "../transport/transport.ts";
import type { ControlledTimers, ControlledWorker, TaskInHand, TaskLimits } from "./control/command.ts";
import type { NearTimes } from "./near_times.ts";
import type { Notices } from "./notices.ts";
import type { Pool } from "./pool.ts";
import type { Revokes } from "./revokes.ts";
import type { CompleteOptions } from "./worker_options.ts";

/** What steering has of its worker. */
export interface SteeringParts {
  readonly options: CompleteOptions;
  readonly clock: Clock;
  readonly outcomes: Outcomes;
  readonly aftermath: Aftermath;
  readonly pool: Pick<Pool, "list" | "withdraw" | "end">;
  readonly near: NearTimes;
  readonly revokes: Revokes;
  readonly notices: Notices;
  readonly timers: ControlledTimers;
  readonly broker: string;
  /** By their names. */
  tasks(): ReadonlyMap<string, TaskDescription>;
  isAcknowledged(delivery: Delivery): boolean;
  /** Settles a delivery that is in nobody's hands any more. */
  conclude(delivery: Delivery, result: StoredResult | undefined, following: Following | undefined): void;
  limit(task: string, limits: TaskLimits): boolean;
  stop(): void;
}

export class Steering implements ControlledWorker {
  readonly node: string;
  readonly pid = process.pid;
  readonly queues: readonly string[];
  readonly concurrency: number;
  readonly slots: number;
  readonly broker: string;
  readonly timers: ControlledTimers;
  readonly #parts: SteeringParts;
  readonly #begun: number;

  constructor(parts: SteeringParts) {
    const { options, clock } = parts;
    this.node = options.hostname;
    this.queues = options.queues;
    this.concurrency = options.concurrency;
    this.slots = options.slots;
    this.broker = parts.broker;
    this.timers = parts.timers;
    this.#parts = parts;
    this.#begun = clock.monotonic();
  }

  get uptime(): number {
    return this.#parts.clock.monotonic() - this.#begun;
  }

  get counts(): Readonly<Record<string, number>> {
    return { ...this.#parts.notices.counts };
  }

  get tasks(): readonly TaskDescription[] {
    return [...this.#parts.tasks().values()];
  }

  get revoked(): readonly string[] {
    return this.#parts.revokes.ids;
  }

  /** What is received, without the tasks that were revoked: these are settled. Costs nothing while none is. */
  withoutRevoked(deliveries: Delivery[]): Delivery[] {
    const { revokes } = this.#parts;
    if (revokes.size === 0) return deliveries;
    return deliveries.filter((delivery) => {
      const id = peekTask(delivery.text)?.id;
      if (id === undefined || !(revokes.has(id) || this.#hasRevokedStamp(delivery))) return true;
      this.#drop(delivery, id, "revoked");
      return false;
    });
  }

  #hasRevokedStamp(delivery: Delivery): boolean {
    const { revokes } = this.#parts;
    return revokes.hasStamps && this.#stampsOf(delivery).some((stamp) => revokes.has(stamp));
  }

  /** As they are kept among revoked ids; none where the message can't be read. */
  #stampsOf({ text }: Delivery): readonly string[] {
    // Mostly there are none, and a look at the text is cheaper than to read it.
    if (!/"stamped_headers": ?\[ ?"/.test(text)) return [];
    const { maxMessageBytes } = this.#parts.options.settings.brokerTransportOptions;
    try {
      return revokedStamps(decodeTask(text, { maxBodyBytes: maxMessageBytes }).stamps);
    } catch {
      return [];
    }
  }

  inHand(): TaskInHand[] {
    const { pool, near, isAcknowledged } = this.#parts;
    const held = pool.list().map(({ delivery, running, startedAt }): TaskInHand => ({
      delivery,
      phase: running ? "active" : "reserved",
      startedAt,
      acknowledged: isAcknowledged(delivery),
    }));
    const waiting = near.list().map(({ delivery, due }): TaskInHand => ({
      delivery,
      phase: "scheduled",
      due,
      acknowledged: isAcknowledged(delivery),
    }));
    return [...held, ...waiting];
  }

  async revoke(ids: readonly string[]): Promise<void> {
    const wanted = new Set(ids);
    const kept = this.#parts.revokes.add(ids);
    this.#withdraw((_, id) => wanted.has(id));
    await kept;
  }

  async terminate(ids: readonly string[]): Promise<readonly string[]> {
    const wanted = new Set(ids);
    const kept = this.#parts.revokes.add(ids);
    const ended = this.#end((_, id) => wanted.has(id));
    await kept;
    return ended;
  }

  async revokeStamped(
    stamps: Readonly<Record<string, unknown>>,
    terminate: boolean,
  ): Promise<readonly string[]> {
    const wanted = new Set(revokedStamps(stamps));
    const kept = this.#parts.revokes.add([...wanted]);
    const isWanted = (delivery: Delivery) => this.#stampsOf(delivery).some((stamp) => wanted.has(stamp));
    if (!terminate) this.#withdraw(isWanted);
    const ended = terminate ? this.#end(isWanted) : [];
    await kept;
    return ended;
  }

  /** Drops what has not started here. */
  #withdraw(isWanted: (delivery: Delivery, id: string) => boolean): void {
    const { pool, near } = this.#parts;
    for (const { delivery, phase, id } of this.#inHand(isWanted)) {
      if (phase === "active") continue;
      if (pool.withdraw(delivery) || near.withdraw(delivery)) this.#drop(delivery, id, "revoked");
    }
  }

  /** Drops it, and ends what runs. */
  #end(isWanted: (delivery: Delivery, id: string) => boolean): readonly string[] {
    const { pool, near } = this.#parts;
    const ended = new Set<string>();
    for (const { delivery, id } of this.#inHand(isWanted)) {
      const answer = near.withdraw(delivery) ? "taken" : pool.end(delivery, `${id} was terminated`);
      if (answer === "late") continue;
      ended.add(id);
      this.#drop(delivery, id, answer === "ended" ? "terminated" : "revoked");
    }
    return [...ended];
  }

  limit(task: string, limits: TaskLimits): boolean {
    return this.#parts.limit(task, limits);
  }

  stop(): void {
    this.#parts.stop();
  }

  #inHand(
    isWanted: (delivery: Delivery, id: string) => boolean,
  ): (TaskInHand & { readonly id: string })[] {
    return this.inHand().flatMap((task) => {
      const id = peekTask(task.delivery.text)?.id;
      return id !== undefined && isWanted(task.delivery, id) ? [{ ...task, id }] : [];
    });
  }

  /** Settles as revoked what will not run, or not to its end. */
  #drop(delivery: Delivery, id: string, why: "revoked" | "terminated"): void {
    const { revokes, notices, conclude } = this.#parts;
    revokes.took(id);
    notices.revoked(peekTask(delivery.text)?.task ?? "", id, why);
    const { result, following } = this.#revokedEnd(delivery, why);
    conclude(delivery, result, following);
  }

  /** What is stored of it, and the parts of chords that end with it. */
  #revokedEnd(delivery: Delivery, why: string): { result?: StoredResult; following?: Following } {
    const { options, tasks, outcomes, aftermath } = this.#parts;
    let request: TaskRequest;
    try {
      const { maxMessageBytes } = options.settings.brokerTransportOptions;
      request = decodeTask(delivery.text, { maxBodyBytes: maxMessageBytes });
    } catch {
      // What can't be read has nobody who could wait for it.
      return {};
    }
    const task = tasks().get(request.task) ?? { name: request.task, options: {} };
    const following = aftermath.unrun(request, task, "REVOKED", new TaskRevokedError(why));
    const text = outcomes.revoked(request, task, why);
    if (text === "") return { following };
    const { replyTo } = delivery;
    return {
      result: { id: request.id, state: "REVOKED", text, ttl: outcomes.ttl(task), replyTo },
      following,
    };
  }
}
