/**
 * The isolates of a worker: **dispatch**. Hands deliveries to them ahead of time, moves what waits behind a long task
 * to an idle one, gives back to the broker what nobody here can start, and replaces an isolate that has died, or all
 * of them when their modules have changed.
 */
import { setImmediate } from "node:timers";
import type { Clock, TimerHandle } from "../clock.ts";
import { type Death, HELD_UP, type IsolateSettings, REPORT_STRIDE } from "../isolate/isolate.ts";
import type { ModuleFile } from "../isolate/load_modules.ts";
import type { TaskDescription } from "../isolate/task_definition.ts";
import type { LimitsOfTask } from "../isolate/time_limits.ts";
import { runtimeName } from "../platform.ts";
import { peekTask } from "../protocol/task_message.ts";
import type { Delivery } from "../transport/transport.ts";
import { Holdings } from "./holdings.ts";
import type { Held, Lane } from "./lane.ts";
import { LaneStarter } from "./lane_starter.ts";
import type { PoolListener } from "./pool_listener.ts";
import { Renewals } from "./renewal.ts";
import { Restarts } from "./restarts.ts";
import { sharesOf, takeFor } from "./sharing.ts";
import type { Silence } from "./watch.ts";
import type { IsolateMaker } from "./worker_options.ts";

const LOOK_EVERY_MS = 20;
/** A delivery that waits this long behind a long task goes back to the broker, where an idle worker gets it. */
const HAND_BACK_MS = 1000;

/**
 * What {@linkcode Pool.end} did:
 * - `ended`: it ran, and its isolate was ended;
 * - `taken`: it had not started, and never will;
 * - `late`: nothing, because it has finished; its report comes, or has come.
 *
 * What was ended or taken is in the pool no more: whoever asked for its end settles it.
 */
export type EndAnswer = "ended" | "taken" | "late";

export class Pool {
  readonly #clock: Clock;
  readonly #listener: PoolListener;
  readonly #starter: LaneStarter;
  /** What new isolates load; another array is another generation, whose isolates take the place of all before. */
  #modules: readonly ModuleFile[] = [];
  #isolates = 0;
  readonly #holdings = new Holdings();
  /** Those at work. */
  readonly #lanes = this.#holdings.atWork;
  readonly #restarts: Restarts;
  readonly #renewals: Renewals | undefined;
  #look: TimerHandle | undefined;
  #closed = false;
  /** It was said that a thread may go on after its isolate was ended. */
  #toldOfThread = false;

  constructor(
    settings: Omit<IsolateSettings, "modules">,
    clock: Clock,
    listener: PoolListener,
    makeIsolate?: IsolateMaker,
  ) {
    const lanes = {
      finished: (lane: Lane, reports: readonly (number | string)[], busy: number) =>
        this.#finished(lane, reports, busy),
      died: (lane: Lane, reason: string, how?: Death) => this.#died(lane, reason, how),
    };
    this.#starter = new LaneStarter(settings, clock, listener, lanes, makeIsolate);
    this.#clock = clock;
    this.#listener = listener;
    this.#restarts = new Restarts(clock);
    const { tasks, memory } = settings.lifetime;
    if (tasks !== null || memory !== null) this.#renewals = this.#openRenewals();
  }

  /** How many jobs an isolate may be given ahead of time, however short they are. */
  get ahead(): number {
    return this.#starter.ahead;
  }
  set ahead(jobs: number) {
    this.#starter.ahead = jobs;
  }

  /**
   * Starts `isolates` isolates that load `modules`. The first one checks them; work begins with it, and the others join
   * it as they are ready.
   *
   * @throws {TaskModuleError}
   */
  async start(modules: readonly ModuleFile[], isolates: number): Promise<readonly TaskDescription[]> {
    this.#modules = modules;
    this.#isolates = isolates;
    const tasks = await this.#add(modules);
    for (let i = 1; i < isolates; i++) this.#addLater(0);
    return tasks;
  }

  /**
   * Puts isolates that load `modules` in the place of all that are at work: they get all that has not started. What
   * runs, runs to its end where it is. The first new isolate checks the modules; until it has loaded them all stays
   * as it is. `accept` may throw then, which leaves all as it is, too.
   *
   * @throws {TaskModuleError} When the modules can't be used.
   * @throws The signal's reason, when it aborts before the modules are loaded.
   */
  async replaceModules(
    modules: readonly ModuleFile[],
    signal: AbortSignal,
    accept: (tasks: readonly TaskDescription[]) => void = () => {},
  ): Promise<readonly TaskDescription[]> {
    const { lane, tasks } = await this.#starter.start(modules, signal);
    try {
      accept(tasks);
    } catch (error) {
      lane.isolate.terminate();
      throw error;
    }
    this.#modules = modules;
    this.#restarts.forget();
    const old = this.#lanes.splice(0, this.#lanes.length, lane);
    const unstarted = old.flatMap((lane) => lane.takeBack(Infinity));
    for (const lane of old) this.#retire(lane);
    this.dispatch(unstarted);
    for (let i = 1; i < this.#isolates; i++) this.#addLater(0);
    this.#listener.reported();
    return tasks;
  }

  /** How many isolates are at work, or start. */
  get isolates(): number {
    return this.#isolates;
  }

  /** How many of them have started. */
  get atWork(): number {
    return this.#lanes.length;
  }

  /** How many more only end what runs in them. */
  get leaving(): number {
    return this.#holdings.retired.size;
  }

  /** Starts one more isolate. */
  grow(): void {
    this.#isolates++;
    this.#addLater(0);
  }

  /** Ends an isolate that has nothing to do; false where there is none. */
  shrink(): boolean {
    const idle = this.#lanes.findIndex((lane) => lane.size === 0);
    // One that does not come to work is none that anybody misses.
    const isMissing = this.#lanes.length === 0 && this.#isolates > 0 && this.size === 0;
    if (idle < 0 && !isMissing) return false;
    this.#isolates--;
    for (const lane of idle < 0 ? [] : this.#lanes.splice(idle, 1)) this.#retire(lane);
    return true;
  }

  /** Ends one isolate, the one with the least in it, once what runs there has ended. What had not started comes back. */
  release(): Delivery[] {
    this.#isolates--;
    const least = this.#lanes.reduce<Lane | undefined>(
      (least, lane) => least === undefined || lane.size < least.size ? lane : least,
      undefined,
    );
    if (least === undefined) return [];
    this.#lanes.splice(this.#lanes.indexOf(least), 1);
    const unstarted = least.takeBack(Infinity);
    this.#retire(least);
    return unstarted;
  }

  /** Ends all isolates, each once what runs there has ended, and starts no more. What had not started comes back. */
  retire(): Delivery[] {
    this.#modules = [];
    this.#isolates = 0;
    const unstarted = this.takeBack();
    for (const lane of this.#lanes.splice(0)) this.#retire(lane);
    return unstarted;
  }

  /** How many more deliveries it can take now. */
  get room(): number {
    return this.#holdings.room;
  }

  /** Whether an isolate will soon have nothing to do. */
  get hungry(): boolean {
    return this.#holdings.hungry;
  }

  /** How many deliveries are in it. */
  get size(): number {
    return this.#holdings.size;
  }

  /** How many of them are not in isolates that only end what runs in them. */
  get load(): number {
    return this.#holdings.load;
  }

  /** How many of them run now. */
  get running(): number {
    return this.#holdings.running;
  }

  /** Hands deliveries over, so that all isolates then hold about equally much; one message each. */
  dispatch(deliveries: readonly Delivery[]): void {
    const holdings = this.#holdings;
    if (holdings.homeless.length > 0) {
      deliveries = [...holdings.homeless, ...deliveries];
      holdings.homeless = [];
    }
    if (deliveries.length === 0) return;
    const shares = sharesOf(this.#lanes, deliveries.length);
    let from = 0;
    for (let i = 0; i < shares.length; i++) {
      const to = from + shares[i];
      if (to > from) this.#lanes[i].give(deliveries, from, to);
      from = to;
    }
    if (from < deliveries.length) holdings.homeless = deliveries.slice(from);
    this.#look ??= this.#clock.after(LOOK_EVERY_MS, () => this.#lookAround());
    if (this.#renewals !== undefined) this.#renew();
  }

  /** Sets the time limits of a task for the runs that start from here on (Celery: the remote command `time_limit`). */
  setLimits(limits: LimitsOfTask): void {
    this.#starter.setLimits(limits);
    for (const lane of this.#lanes) lane.isolate.setLimits(limits);
  }

  /**
   * The delivery that is held under a task's id, and whether it runs; where there are two, the one that runs. Looks into
   * all that is held: for rare questions only.
   */
  find(id: string): Held | undefined {
    return this.#holdings.find(id);
  }

  /** The delivery that it holds under a task's id, be it done and not reported yet. */
  held(id: string): Delivery | undefined {
    return this.#holdings.held(id);
  }

  /** All that is held and not done. */
  list(): Held[] {
    return this.#holdings.list();
  }

  /** Asks isolates in which something runs for a sign of life, and tells which have not answered yet. */
  silences(): Silence[] {
    const silences = this.#holdings.silences();
    for (const lane of this.#holdings.lanes) if (lane.isHeldUp) this.#endHeldUp(lane);
    return silences;
  }

  /** Takes one delivery out unless it has started; then tells so, and leaves it alone. */
  withdraw(delivery: Delivery): boolean {
    const { was, lane } = this.#holdings.withdraw(delivery);
    if (lane !== undefined) this.#endIfDone(lane);
    return was === "taken";
  }

  /**
   * Ends one delivery. Where it runs its isolate is ended with it and replaced at once; what had not started there moves
   * on to others, what else ran there is told as {@linkcode PoolListener.interrupted}. `why` is for the log.
   */
  end(delivery: Delivery, why: string): EndAnswer {
    const { was, lane } = this.#holdings.withdraw(delivery);
    if (was === "done") return "late";
    if (was === "running") this.#endUnder(lane!, [delivery], why);
    else if (lane !== undefined) this.#endIfDone(lane);
    return was === "running" ? "ended" : "taken";
  }

  /** Takes back all that has not started: what a stopping worker returns to the broker. */
  takeBack(): Delivery[] {
    return this.#holdings.takeBack();
  }

  /** Ends all isolates at once; what may have run in them, and what had not started. */
  terminate(): { started: Delivery[]; unstarted: Delivery[] } {
    this.#closed = true;
    if (this.#look !== undefined) this.#clock.cancel(this.#look);
    this.#renewals?.close();
    return this.#holdings.terminate();
  }

  async #add(modules: readonly ModuleFile[]): Promise<readonly TaskDescription[]> {
    const { lane, tasks } = await this.#starter.start(modules);
    // Newer modules, or the end, may have come while it started, or it is not needed any more.
    if (this.#closed || this.#modules !== modules || this.#lanes.length >= this.#isolates) {
      lane.isolate.terminate();
    } else {
      this.#lanes.push(lane);
      this.dispatch([]);
      if (lane.size === 0) this.#feed(lane);
    }
    return tasks;
  }

  #finished(lane: Lane, reports: readonly (number | string)[], busy: number): void {
    for (let i = 0; i < reports.length; i += REPORT_STRIDE) {
      const job = reports[i] as number;
      const follow = lane.takeFollow(job);
      const delivery = lane.finish(job);
      if (delivery === undefined) continue;
      this.#listener.finished(
        delivery,
        reports[i + 1] as number,
        reports[i + 2] as string,
        reports[i + 3] as string,
        reports[i + 4],
        follow,
      );
    }
    if (reports.length > 0) lane.measure(reports.length / REPORT_STRIDE, busy);
    else lane.answered();
    if (this.#holdings.homeless.length > 0) this.dispatch([]);
    this.#endIfDone(lane);
    if (lane.size === 0 && this.#lanes.includes(lane)) this.#feed(lane);
    if (this.#renewals !== undefined) this.#renew();
    this.#listener.reported();
  }

  /** An isolate has nothing left: it gets half of what waits in the fullest of the others. */
  #feed(idle: Lane): void {
    const moved = takeFor(idle, this.#lanes);
    if (moved.length > 0) idle.give(moved, 0, moved.length);
  }

  #lookAround(): void {
    this.#look = undefined;
    const before = this.room;
    for (const lane of this.#holdings.lanes) this.#endOverdue(lane);
    for (const lane of this.#holdings.lanes) {
      if (!lane.look()) continue;
      const room = this.room;
      if (room > 0) this.dispatch(lane.takeBack(room));
      const waiting = lane.takeBack(Infinity, HAND_BACK_MS);
      if (waiting.length > 0) this.#listener.handBack(waiting);
      this.#endIfDone(lane);
    }
    if (this.size > 0) this.#look ??= this.#clock.after(LOOK_EVERY_MS, () => this.#lookAround());
    // An isolate that was held up for a moment takes more again, and has nothing to report that would say so.
    if (this.room > before) this.#listener.reported();
  }

  /** Ends what has run longer than it may. */
  #endOverdue(lane: Lane): void {
    const overdue = lane.overdue();
    if (overdue.length === 0) return;
    const which = peekTask(overdue[0].delivery.text);
    this.#endUnder(
      lane,
      overdue.map(({ delivery }) => delivery),
      `${which?.task}[${which?.id}] ran there longer than its time limit`,
    );
    for (const { delivery, limit } of overdue) this.#listener.overLimit(delivery, limit);
  }

  #openRenewals(): Renewals {
    return new Renewals({
      start: async () => (await this.#starter.start(this.#modules)).lane,
      renew: (old, fresh) => this.#replaceLane(old, fresh),
      failed: (error) => this.#restartFailed(error),
    }, this.#clock);
  }

  #renew(): void {
    for (const lane of [...this.#lanes]) this.#renewals?.look(lane);
  }

  #replaceLane(old: Lane, fresh: Lane): void {
    fresh.takeOver(old);
    this.#lanes[this.#lanes.indexOf(old)] = fresh;
    this.#retire(old);
    this.dispatch([]);
    if (fresh.size === 0) this.#feed(fresh);
    this.#listener.reported();
  }

  /** What runs in it, runs to its end there. */
  #retire(lane: Lane): void {
    this.#renewals?.forget(lane);
    this.#holdings.retired.add(lane);
    this.#endIfDone(lane);
  }

  /** An isolate whose place another has taken is needed no more once all that ran in it is reported. */
  #endIfDone(lane: Lane): void {
    if (lane.size === 0 && this.#holdings.retired.delete(lane)) lane.isolate.terminate();
  }

  /** Ends the isolate that runs these, and that has done no wrong itself: the next one starts at once. */
  #endUnder(lane: Lane, deliveries: readonly Delivery[], why: string): void {
    const wasAtWork = this.#remove(lane) === "at work";
    lane.isolate.terminate();
    if (lane.isolate.mayLinger) this.#tellOfThread(deliveries[0]);
    const { unstarted, started, unreported } = lane.abandon();
    const others = [...started, ...unreported].filter((other) => !deliveries.includes(other));
    if (others.length > 0) this.#listener.interrupted(others, why);
    this.dispatch(unstarted);
    // Making a thread holds this one up: what becomes of the task that was ended leaves before.
    if (wasAtWork) setImmediate(() => this.#addLater(0));
  }

  /** Said once: whether its thread has ended nobody can see. */
  #tellOfThread({ text }: Delivery): void {
    if (this.#toldOfThread) return;
    this.#toldOfThread = true;
    const { task = "", id = "" } = peekTask(text) ?? {};
    this.#listener.log({
      level: "warning",
      text:
        `${task}[${id}] was ended with its isolate, but ${runtimeName} can't end a thread that computes without a pause: ` +
        `if that one does, it keeps a core busy until this worker ends. Give such tasks a timeLimit of their own, or ` +
        `isolation: "process".`,
      task,
      id,
      own: false,
    });
  }

  /** No task runs in it, and yet it does not answer. */
  #endHeldUp(lane: Lane): void {
    lane.isolate.terminate();
    const mayLinger = lane.isolate.mayLinger
      ? `, and ${runtimeName} can't end its thread: a core stays busy`
      : "";
    this.#died(lane, HELD_UP + mayLinger, "left behind");
  }

  #died(lane: Lane, reason: string, how?: Death): void {
    const was = this.#remove(lane);
    if (was === "gone" || this.#closed) return;
    const { unstarted, started, unreported } = lane.abandon();
    this.#listener.died(reason, started, unreported, how);
    this.dispatch(unstarted);
    if (was === "at work") this.#addLater(this.#restarts.pause());
  }

  #remove(lane: Lane): "at work" | "retired" | "gone" {
    this.#renewals?.forget(lane);
    return this.#holdings.remove(lane);
  }

  #restartFailed(error: unknown): number {
    const pause = this.#restarts.pause();
    this.#listener.restartFailed(String(error), pause);
    return pause;
  }

  /** One more isolate after `pause` ms, unless newer modules come meanwhile: they bring as many as there shall be. */
  #addLater(pause: number): void {
    const modules = this.#modules;
    const isNeeded = () => !this.#closed && this.#modules === modules;
    const add = () => {
      if (!isNeeded()) return;
      this.#add(modules).then(
        () => isNeeded() && this.#listener.reported(),
        (error) => {
          if (isNeeded()) this.#addLater(this.#restartFailed(error));
        },
      );
    };
    if (pause === 0) add();
    else this.#clock.after(pause, add);
  }
}
