/** Starts the isolates of a pool, each in a lane of its own: before **dispatch**. */
import { type Clock, orAborted } from "../clock.ts";
import type { Death, IsolateListener, IsolateSettings } from "../isolate/isolate.ts";
import type { ModuleFile } from "../isolate/load_modules.ts";
import type { TaskDescription } from "../isolate/task_definition.ts";
import type { LimitsOfTask } from "../isolate/time_limits.ts";
import { WebWorkerIsolate } from "../isolate/web_worker.ts";
import { QUICK_PACE } from "../transport/transport.ts";
import { Lane } from "./lane.ts";
import type { PoolListener } from "./pool_listener.ts";
import type { IsolateMaker } from "./worker_options.ts";

/** What a started isolate tells of its jobs and its end. */
export interface LaneListener {
  finished(lane: Lane, reports: readonly (number | string)[], busy: number): void;
  died(lane: Lane, reason: string, how?: Death): void;
}

const webWorker: IsolateMaker = (settings, listener) => new WebWorkerIsolate(settings, listener);

export class LaneStarter {
  readonly #settings: Omit<IsolateSettings, "modules">;
  readonly #clock: Clock;
  readonly #pool: PoolListener;
  readonly #listener: LaneListener;
  readonly #makeIsolate: IsolateMaker;
  /** Time limits that were set while the worker runs. */
  readonly #limits = new Map<string, LimitsOfTask>();
  /** How many jobs an isolate may be given ahead of time, however short they are. */
  ahead = QUICK_PACE.ahead;

  constructor(
    settings: Omit<IsolateSettings, "modules">,
    clock: Clock,
    pool: PoolListener,
    listener: LaneListener,
    makeIsolate: IsolateMaker = webWorker,
  ) {
    this.#settings = settings;
    this.#clock = clock;
    this.#pool = pool;
    this.#listener = listener;
    this.#makeIsolate = makeIsolate;
  }

  /** For isolates that start from here on. */
  setLimits(limits: LimitsOfTask): void {
    this.#limits.set(limits.task, limits);
  }

  /**
   * Starts an isolate that has no place in the pool yet.
   *
   * @throws {TaskModuleError} When the modules can't be used.
   * @throws The signal's reason, when it aborts before the modules are loaded.
   */
  async start(
    modules: readonly ModuleFile[],
    signal?: AbortSignal,
  ): Promise<{ lane: Lane; tasks: readonly TaskDescription[] }> {
    const { timers } = this.#pool;
    const hub = timers?.place();
    const listener: IsolateListener = {
      ...(hub && { hub: (answer) => timers!.open(hub, answer) }),
      finished: (reports, busy) => this.#listener.finished(lane, reports, busy),
      follow: (follow) => lane.keepFollow(follow),
      state: (state) => this.#pool.state(state),
      log: (line) => this.#pool.log(line),
      relay: (answer) => this.#pool.relay(answer),
      died: (reason, how) => this.#listener.died(lane, reason, how),
    };
    const isolate = this.#makeIsolate({ ...this.#settings, modules, hub }, listener, this.#clock);
    const { slots, lifetime } = this.#settings;
    const lane = new Lane(isolate, { clock: this.#clock, slots, ahead: () => this.ahead, lifetime });
    try {
      const tasks = await orAborted(isolate.start(), signal);
      signal?.throwIfAborted();
      for (const limits of this.#limits.values()) isolate.setLimits(limits);
      return { lane, tasks };
    } catch (error) {
      isolate.terminate();
      throw error;
    }
  }
}
