/** Timers that tasks have set, as a client sees them. Beside the way of a task. */
import type { Clock } from "../clock.ts";
import { cancelAtHub, listHubs, type TimersOfWorker } from "../hub/far_hubs.ts";
import type { CancelAnswer } from "../hub/port.ts";
import { readTimerId } from "../hub/timer_id.ts";
import type { Transport } from "../transport/transport.ts";

/** How long workers are waited for. */
export interface TimersOptions {
  /** Seconds. Default 1. */
  readonly timeout?: number;
  /** Ends the waiting early, as if the time were up. */
  readonly signal?: AbortSignal;
}

/** What {@linkcode Timers} needs of its app. */
export interface TimersParts {
  readonly clock: Clock;
  transport(): Promise<Transport>;
  /** Revokes the task that a durable timer is; tells whether that is known to be kept. */
  revoke(id: string, options: Required<Pick<TimersOptions, "timeout">> & TimersOptions): Promise<boolean>;
  /** Where tasks run in this process, their timers are here, too. */
  readonly own?: { cancel(id: string): CancelAnswer; report(): Record<string, TimersOfWorker> };
}

/**
 * Lists and cancels the timers that tasks have set by `ctx.callAfter`, `callAt` and `callRepeatedly`.
 *
 * @example
 * ```ts
 * import { App } from "../../mod.ts";
 *
 * const app = new App({ broker: "redis://localhost" });
 * const { timers } = (await app.timers.list())["celery@web-1"];
 * console.log(await app.timers.cancel(timers[0].id)); // "cancelled"
 * await app.disconnect();
 * ```
 */
export class Timers {
  readonly #parts: TimersParts;

  /** Made by {@linkcode App}. */
  constructor(parts: TimersParts) {
    this.#parts = parts;
  }

  /**
   * Takes a timer back, wherever it is. After `"cancelled"` its callback is not called; `"too late"`: it was due already,
   * is cancelled, or never was; `"unknown"`: its worker gave no answer in time, or has ended.
   *
   * @throws {BrokerUnavailableError} When nobody can be asked.
   */
  async cancel(id: string, options: TimersOptions = {}): Promise<CancelAnswer> {
    const { clock, transport, revoke, own } = this.#parts;
    const patience = { timeout: 1, ...options };
    if (own !== undefined) return own.cancel(id);
    const place = readTimerId(id);
    if (place === undefined) return "too late";
    if (place.kind === "memory") {
      const [answer] = await cancelAtHub(await transport(), clock, place.hub, [id], patience);
      return answer;
    }
    if (place.due <= clock.now()) return "too late";
    if (!await revoke(id, patience)) return "unknown";
    return place.due > clock.now() ? "cancelled" : "too late";
  }

  /**
   * The timers in the memory of workers, by the names of their nodes: how many, and the first hundred of them. Durable ones
   * are delayed messages of the broker.
   *
   * @throws {BrokerUnavailableError} When nobody can be asked.
   */
  async list(options: TimersOptions = {}): Promise<Record<string, TimersOfWorker>> {
    const { clock, transport, own } = this.#parts;
    if (own !== undefined) return own.report();
    return await listHubs(await transport(), clock, { timeout: 1, ...options });
  }
}
