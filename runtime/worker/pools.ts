/**
 * The isolates of a worker, whatever its tasks demand of them: **dispatch**. Finds out what they demand once the modules are
 * loaded. Tasks of one demand share a pool. Where all demand the same there is one pool, which everything is handed on to
 * as it comes; else several that share the number of isolates (`shared_isolates.ts`).
 */
import { type Clock, orAborted } from "../clock.ts";
import type { IsolateSettings } from "../isolate/isolate.ts";
import type { ModuleFile } from "../isolate/load_modules.ts";
import { WITHHELD } from "../isolate/permissions.ts";
import type { TaskDescription } from "../isolate/task_definition.ts";
import type { LimitsOfTask } from "../isolate/time_limits.ts";
import { type Delivery, QUICK_PACE } from "../transport/transport.ts";
import { type Demand, type DemandGroup, type DemandPolicy, groupsOf, keyOf, usualDemand } from "./demand.ts";
import { guarded } from "./guarded.ts";
import { isolatesFor } from "./isolate_kinds.ts";
import type { Held } from "./lane.ts";
import { type EndAnswer, Pool } from "./pool.ts";
import type { PoolListener } from "./pool_listener.ts";
import { SharedIsolates } from "./shared_isolates.ts";
import type { Silence } from "./watch.ts";
import type { IsolateMaker } from "./worker_options.ts";

/** What pools are made with. */
export interface PoolsOptions {
  readonly settings: Omit<IsolateSettings, "modules">;
  readonly policy: DemandPolicy;
  readonly clock: Clock;
  readonly listener: PoolListener;
  /** Makes all isolates, whatever tasks demand. Default: what they demand. */
  readonly makeIsolate?: IsolateMaker;
  /** What makes the isolates of a demand, for tests. */
  readonly isolatesFor?: (demand: Demand) => IsolateMaker;
}

/** Pools that load the same modules. */
interface Generation {
  readonly tasks: readonly TaskDescription[];
  readonly pools: Pool | SharedIsolates;
}

/** All pools of a worker, with the interface of one. */
export class Pools {
  readonly #options: PoolsOptions;
  readonly #clock: Clock;
  readonly #listener: PoolListener;
  readonly #usual: Demand;
  #concurrency = 0;
  #current: Pool | SharedIsolates | undefined;
  /** The current one is a pool for tasks that demand nothing of their own. */
  #isUsual = false;
  /** Those before it, each until the last job that runs in it is reported. */
  readonly #leaving = new Set<Pool | SharedIsolates>();
  #ahead = QUICK_PACE.ahead;
  readonly #limits = new Map<string, LimitsOfTask>();
  #closed = false;

  constructor(options: PoolsOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#listener = options.listener;
    this.#usual = usualDemand(options.policy);
  }

  /**
   * Loads `modules`, finds out what their tasks demand, and starts isolates: as many as may be at work where all demand the
   * same, else one for each demand, and more as they are needed.
   *
   * @throws {TaskModuleError} For modules that can't be used, and demands that can't be met.
   */
  async start(modules: readonly ModuleFile[], isolates: number): Promise<readonly TaskDescription[]> {
    this.#concurrency = isolates;
    return this.#install(await this.#open(modules));
  }

  /**
   * Puts isolates that load `modules` in the place of all that are at work: they get all that has not started. What
   * runs, runs to its end where it is. Until the new ones are there all stays as it is.
   *
   * @throws {TaskModuleError} For modules that can't be used, and demands that can't be met.
   * @throws The signal's reason, when it aborts before the modules are loaded.
   */
  async replaceModules(
    modules: readonly ModuleFile[],
    signal: AbortSignal,
  ): Promise<readonly TaskDescription[]> {
    try {
      const tasks = await this.#replaceInPlace(modules, signal);
      if (tasks !== undefined) return tasks;
    } catch (error) {
      if (!(error instanceof OtherDemands)) throw error;
    }
    const generation = await this.#open(modules, signal);
    const before = this.#current;
    const unstarted = before?.retire() ?? [];
    if (before !== undefined) this.#leaving.add(before);
    this.#install(generation);
    this.#forgetDone();
    this.dispatch(unstarted);
    this.#listener.reported();
    return generation.tasks;
  }

  /** Where there is one pool, and as the new tasks want it, it does that itself. */
  async #replaceInPlace(
    modules: readonly ModuleFile[],
    signal: AbortSignal,
  ): Promise<readonly TaskDescription[] | undefined> {
    // What a confined isolate may load is fixed when its pool is made.
    if (!(this.#current instanceof Pool) || !this.#isUsual || this.#usual.permissions !== "inherit") {
      return undefined;
    }
    return await this.#current.replaceModules(modules, signal, (tasks) => {
      if (!this.#areUsual(this.#groups(tasks, modules))) throw new OtherDemands();
    });
  }

  /** How many jobs an isolate may be given ahead of time, however short they are. */
  get ahead(): number {
    return this.#ahead;
  }

  set ahead(ahead: number) {
    this.#ahead = ahead;
    if (this.#current !== undefined) this.#current.ahead = ahead;
  }

  /** How many more deliveries they can take now. */
  get room(): number {
    return this.#current?.room ?? 0;
  }

  /** Whether an isolate will soon have nothing to do. */
  get hungry(): boolean {
    return this.#current?.hungry ?? false;
  }

  /** How many deliveries are in them. */
  get size(): number {
    let size = this.#current?.size ?? 0;
    for (const pools of this.#leaving) size += pools.size;
    return size;
  }

  /** How many of them run now. */
  get running(): number {
    let running = this.#current?.running ?? 0;
    for (const pools of this.#leaving) running += pools.running;
    return running;
  }

  /** Hands deliveries over. */
  dispatch(deliveries: readonly Delivery[]): void {
    this.#current?.dispatch(deliveries);
  }

  /** Sets the time limits of a task for the runs that start from here on (Celery: the remote command `time_limit`). */
  setLimits(limits: LimitsOfTask): void {
    this.#limits.set(limits.task, limits);
    this.#current?.setLimits(limits);
  }

  /** The delivery that is held under a task's id, and whether it runs; where there are two, the one that runs. */
  find(id: string): Held | undefined {
    const found = this.#all().flatMap((pools) => pools.find(id) ?? []);
    return found.find(({ running }) => running) ?? found[0];
  }

  /** All that is held and not done. */
  list(): Held[] {
    return this.#all().flatMap((pools) => pools.list());
  }

  /** Asks isolates in which something runs for a sign of life, and tells which have not answered yet. */
  silences(): Silence[] {
    return this.#all().flatMap((pools) => pools.silences());
  }

  /** Takes one delivery out unless it has started; then tells so, and leaves it alone. */
  withdraw(delivery: Delivery): boolean {
    return this.#all().some((pools) => pools.withdraw(delivery));
  }

  /** Ends one delivery; see {@linkcode Pool.end}. */
  end(delivery: Delivery, why: string): EndAnswer {
    for (const pools of this.#all()) {
      const answer = pools.end(delivery, why);
      if (answer !== "late") return answer;
    }
    return "late";
  }

  /** Takes back all that has not started: what a stopping worker returns to the broker. */
  takeBack(): Delivery[] {
    return this.#all().flatMap((pools) => pools.takeBack());
  }

  /** Ends all isolates at once; what may have run in them, and what had not started. */
  terminate(): { started: Delivery[]; unstarted: Delivery[] } {
    this.#closed = true;
    const left = { started: [] as Delivery[], unstarted: [] as Delivery[] };
    for (const pools of this.#all()) {
      const { started, unstarted } = pools.terminate();
      left.started.push(...started);
      left.unstarted.push(...unstarted);
    }
    this.#leaving.clear();
    return left;
  }

  /** Starts the pools that `modules` demand, with one isolate each, beside those that are there. */
  async #open(modules: readonly ModuleFile[], signal?: AbortSignal): Promise<Generation> {
    const pools: Pool[] = [];
    const start = async (group: DemandGroup, isPart = false) => {
      const pool = await this.#make(group, isPart);
      pools.push(pool);
      const tasks = await orAborted(pool.start(group.modules, 1), signal);
      signal?.throwIfAborted();
      return { pool, tasks };
    };
    try {
      // Only when they were loaded, under the permissions that a task has which says nothing, is known what all demand.
      const { pool, tasks } = await start({ demand: this.#usual, tasks: [], modules });
      const groups = this.#groups(tasks, modules);
      if (this.#areUsual(groups)) return { tasks, pools: pool };
      pool.terminate();
      // Each is started once, to be checked.
      const shares = await Promise.all(groups.map(async (group) => ({
        pool: (await start(group, groups.length > 1)).pool,
        tasks: group.tasks,
      })));
      return { tasks, pools: shares.length === 1 ? shares[0].pool : this.#share(shares) };
    } catch (error) {
      for (const pool of pools) pool.terminate();
      throw error;
    }
  }

  #share(pools: ConstructorParameters<typeof SharedIsolates>[0]): SharedIsolates {
    return new SharedIsolates(pools, {
      concurrency: this.#concurrency,
      slots: this.#options.settings.slots,
      clock: this.#clock,
      handBack: (deliveries) => this.#listener.handBack(deliveries),
    });
  }

  /** Takes pools into use. */
  #install({ tasks, pools }: Generation): readonly TaskDescription[] {
    this.#current = pools;
    this.#isUsual = this.#areUsual(this.#groups(tasks, []));
    pools.ahead = this.#ahead;
    for (const limits of this.#limits.values()) pools.setLimits(limits);
    if (this.#closed) pools.terminate();
    else if (pools instanceof Pool) { for (let i = 1; i < this.#concurrency; i++) pools.grow(); }
    return tasks;
  }

  #groups(tasks: readonly TaskDescription[], modules: readonly ModuleFile[]): DemandGroup[] {
    return this.#options.makeIsolate === undefined ? groupsOf(tasks, modules, this.#options.policy) : [];
  }

  #areUsual(groups: readonly DemandGroup[]): boolean {
    return groups.every(({ demand }) => keyOf(demand) === keyOf(this.#usual));
  }

  /** With `isPart` its modules may have tasks that it does not run. */
  async #make({ demand, tasks, modules }: DemandGroup, isPart: boolean): Promise<Pool> {
    const { settings, makeIsolate, isolatesFor: makerOf = isolatesFor } = this.#options;
    const { permissions } = demand;
    const confinement = permissions === "inherit"
      ? undefined
      : await (await import("../isolate/module_graph.ts")).confinementOf(permissions, modules);
    const pool: Pool = new Pool(
      {
        ...settings,
        ...(isPart && { serves: tasks }),
        ...(confinement && { confinement, client: { ...settings.client, ...WITHHELD } }),
      },
      this.#clock,
      this.#listenerOf(() => pool, confinement !== undefined),
      makeIsolate ?? makerOf(demand),
    );
    return pool;
  }

  #listenerOf(pool: () => Pool, isConfined: boolean): PoolListener {
    const listener: PoolListener = { ...this.#listener, reported: () => this.#reported(pool()) };
    return isConfined ? guarded(listener, (id) => pool().held(id)?.text) : listener;
  }

  #reported(pool: Pool): void {
    if (this.#leaving.size > 0) this.#forgetDone();
    if (this.#current instanceof SharedIsolates) this.#current.reported(pool);
    this.#listener.reported();
  }

  /** Pools of earlier generations are needed no more once all that ran in them is reported. */
  #forgetDone(): void {
    for (const pools of this.#leaving) {
      if (pools.size > 0) continue;
      this.#leaving.delete(pools);
      pools.terminate();
    }
  }

  #all(): readonly (Pool | SharedIsolates)[] {
    return this.#current === undefined ? [] : [this.#current, ...this.#leaving];
  }
}

/** The new tasks demand something else: the pool that is there can't be theirs. */
class OtherDemands extends Error {}
