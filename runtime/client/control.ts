/** Orders to the workers, Python's too (Celery: `app.control`). Beside the way of a task. */
import type { Clock } from "../clock.ts";
import { decodeResult } from "../protocol/result_meta.ts";
import type { ResultStore } from "../results/result_store.ts";
import { askWorkers, tellWorkers } from "../transport/ask_workers.ts";
import { type RevokedBounds, revokedStamps } from "../transport/revoked_ids.ts";
import type { Transport } from "../transport/transport.ts";

/** Whom an order is for, and whether answers are waited for. */
export interface ControlOptions {
  /** Node names, as `celery@host`. Default: all. */
  readonly destination?: readonly string[];
  /** Waits for answers; otherwise it is sent and that is all. Default false. */
  readonly reply?: boolean;
  /** Seconds to wait for answers. Default 1. */
  readonly timeout?: number;
  /** As many answers are enough. Default: all that come in time. */
  readonly limit?: number;
  /** Nodes whose names match: a glob such as `celery@web-*`. Default: all. */
  readonly pattern?: string;
  /** Ends the waiting early, with the answers that have come. */
  readonly signal?: AbortSignal;
}

/** How tasks are revoked. */
export interface RevokeOptions extends ControlOptions {
  /** Ends the task, too, where it runs. Default false: what runs goes on. */
  readonly terminate?: boolean;
  /**
   * The name of the signal that Python's workers send to the process of a task that they terminate. Isolates know none:
   * they are ended at once. Default `"SIGTERM"`.
   */
  readonly signalName?: string;
}

/** What workers answered, by the names of their nodes. Without `reply` nothing. */
export type ControlReplies = Readonly<Record<string, unknown>>;

/** What control needs of its app. */
export interface ControlParts {
  readonly clock: Clock;
  readonly bounds: RevokedBounds;
  transport(): Promise<Transport>;
  results(): Promise<ResultStore>;
}

/**
 * Tells workers what to do.
 *
 * @example
 * ```ts
 * import { App } from "../../mod.ts";
 *
 * const app = new App({ broker: "sqlite:./celeriac.db" });
 * const result = app.sendTask("reports.build", [2026]);
 * await app.control.revoke(result.id, { terminate: true });
 * console.log(await app.control.ping({ timeout: 0.5 }));
 * await app.disconnect();
 * ```
 */
export class Control {
  readonly #parts: ControlParts;

  /** Made by {@linkcode App}. */
  constructor(parts: ControlParts) {
    this.#parts = parts;
  }

  /** Which workers are alive: `{ "celery@host": { ok: "pong" } }`. */
  ping(options: Omit<ControlOptions, "reply"> = {}): Promise<ControlReplies> {
    return this.broadcast("ping", {}, { ...options, reply: true });
  }

  /**
   * Lets tasks not run any more. What has not started is dropped and ends as REVOKED, with a `TaskRevokedError` for its
   * caller; a delayed task when its time has come. With `terminate` a task that runs is ended as well. Kept where broker
   * or result store are SQLite or Redis, also while no worker is there.
   *
   * @param ids One id or several.
   * @throws {BrokerUnavailableError} When it can't be told.
   */
  async revoke(ids: string | readonly string[], options: RevokeOptions = {}): Promise<ControlReplies> {
    const { terminate = false, signalName = "SIGTERM", ...rest } = options;
    const list = typeof ids === "string" ? [ids] : [...ids];
    if (list.length === 0) return {};
    await this.#keep(list);
    const given = { task_id: list.length === 1 ? list[0] : list, terminate, signal: signalName };
    return await this.broadcast("revoke", given, rest);
  }

  /**
   * Lets tasks not run any more that have one of these stamps, also those that are still to be sent (Celery:
   * `revoke_by_stamped_headers`). Kept as {@linkcode Control.revoke} keeps ids; as long (`workerRevokeExpires`) no task with
   * that stamp runs, so stamp with what does not come again.
   *
   * @param stamps By their names, each with its value or a list of values.
   *
   * @example
   * ```ts
   * import { App } from "../../mod.ts";
   *
   * const app = new App({ broker: "redis://localhost" });
   * await app.control.revokeByStampedHeaders({ order: ["4711", "4712"] }, { terminate: true });
   * await app.disconnect();
   * ```
   *
   * @throws {TypeError} Without stamps.
   * @throws {UnserializableError} For stamps that no message can carry.
   * @throws {BrokerUnavailableError} When it can't be told.
   */
  async revokeByStampedHeaders(
    stamps: Readonly<Record<string, unknown>>,
    options: RevokeOptions = {},
  ): Promise<ControlReplies> {
    const { terminate = false, signalName = "SIGTERM", ...rest } = options;
    const texts = revokedStamps(stamps);
    if (texts.length === 0) throw new TypeError("a revoke by stamps needs a stamp");
    const kept = (await this.#parts.transport()).revoked ?? (await this.#parts.results()).revoked;
    await kept?.add(texts, this.#parts.bounds);
    return await this.broadcast(
      "revoke_by_stamped_headers",
      { headers: stamps, terminate, signal: signalName },
      rest,
    );
  }

  /** {@linkcode Control.revoke} with `terminate`. */
  terminate(ids: string | readonly string[], options: RevokeOptions = {}): Promise<ControlReplies> {
    return this.revoke(ids, { ...options, terminate: true });
  }

  /** Which of these tasks workers have in their hands, and how far they are: `{ node: { id: ["active", {...}] } }`. */
  queryTask(
    ids: string | readonly string[],
    options: Omit<ControlOptions, "reply"> = {},
  ): Promise<ControlReplies> {
    const list = typeof ids === "string" ? [ids] : ids;
    return this.broadcast("query_task", { ids: list }, { ...options, reply: true });
  }

  /** Sets what a task may take from its next run on, in seconds; what is left out is no limit. */
  timeLimit(
    task: string,
    limits: { readonly soft?: number; readonly hard?: number },
    options: ControlOptions = {},
  ): Promise<ControlReplies> {
    const { soft = null, hard = null } = limits;
    return this.broadcast("time_limit", { task_name: task, soft, hard }, options);
  }

  /** Lets workers finish what runs and end: all of them, unless `destination` says which. */
  shutdown(options: ControlOptions = {}): Promise<ControlReplies> {
    return this.broadcast("shutdown", {}, options);
  }

  /**
   * Sends any command, by its name in Celery.
   *
   * @throws {BrokerUnavailableError} When it can't be sent.
   */
  async broadcast(
    method: string,
    given: Readonly<Record<string, unknown>> = {},
    options: ControlOptions = {},
  ): Promise<ControlReplies> {
    const { destination, pattern, reply = false, timeout = 1, limit, signal } = options;
    const transport = await this.#parts.transport();
    const matcher = pattern === undefined ? undefined : "glob";
    const announcement = { method, arguments: given, destination, pattern, matcher };
    if (reply) {
      return await askWorkers(transport, this.#parts.clock, announcement, { timeout, limit, signal });
    }
    await tellWorkers(transport, announcement);
    return {};
  }

  /** Keeps revoked ids for workers that start later, but those of tasks that have ended. */
  async #keep(ids: readonly string[]): Promise<void> {
    const transport = await this.#parts.transport();
    const results = await this.#parts.results();
    const kept = transport.revoked ?? results.revoked;
    if (kept === undefined) return;
    const texts = await results.fetch(ids);
    const left = ids.filter((_, index) => !hasEnded(texts[index]));
    if (left.length > 0) await kept.add(left, this.#parts.bounds);
  }
}

/** Whether a task has ended by itself: then nothing is left to revoke. */
function hasEnded(text: string | null): boolean {
  if (text === null) return false;
  try {
    return ["SUCCESS", "FAILURE"].includes(decodeResult(text).status);
  } catch {
    return false;
  }
}
