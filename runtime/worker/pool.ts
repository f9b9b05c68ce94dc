/**
 * The isolates of a worker: **dispatch**. Hands deliveries to them ahead of time, moves what waits behind a long task
 * to an idle one, gives back to the broker what nobody here can start, and replaces an isolate that has died, or all
 * of them when their modules have changed.
 */
import type { RelayAnswer, RelayEnd } from "../channel/relay.ts";
import { type Clock, orAborted, type TimerHandle } from "../clock.ts";
import {
  type IsolateListener,
  type IsolateSettings,
  type LogReport,
  REPORT_STRIDE,
  type StateReport,
} from "../isolate/isolate.ts";
import type { ModuleFile } from "../isolate/load_modules.ts";
import type { TaskDescription } from "../isolate/task_definition.ts";
import { WebWorkerIsolate } from "../isolate/web_worker.ts";
import { peekTask } from "../protocol/task_message.ts";
import { type Delivery, QUICK_PACE } from "../transport/transport.ts";
import { type Held, Lane } from "./lane.ts";
import type { IsolateMaker } from "./worker_options.ts";

const LOOK_EVERY_MS = 20;
/** A delivery that waits this long behind a long task goes back to the broker, where an idle worker gets it. */
const HAND_BACK_MS = 1000;
/** Isolates that died lately make the next start wait: 100 ms, 200 ms, ... */
const DEATHS_KEPT_MS = 10_000;
const LONGEST_PAUSE_MS = 10_000;

const webWorker: IsolateMaker = (...given) => new WebWorkerIsolate(...given);

/** What a pool tells the worker. */
export interface PoolListener {
  /** A job is finished; see `isolate.ts` for what a report says. */
  finished(delivery: Delivery, report: number, id: string, text: string, extra: number | string): void;
  /** All jobs of one message from an isolate were told, or there is more room than before. */
  reported(): void;
  state(state: StateReport): void;
  log(line: LogReport): void;
  /** Opens the relay for an isolate whose tasks send or read messages. */
  relay(answer: (answer: RelayAnswer) => void): RelayEnd;
  /** These wait behind long tasks and go back to the broker. */
  handBack(deliveries: readonly Delivery[]): void;
  /**
   * These ran, or had run and were not reported, in an isolate that was ended because of another task: they are to run
   * again.
   */
  interrupted(deliveries: readonly Delivery[], why: string): void;
  /** An isolate died: `started` ran in it, `unreported` had run and their outcome is lost. */
  died(reason: string, started: readonly Delivery[], unreported: readonly Delivery[]): void;
  /** A new isolate could not be started; it is tried again after `pause` ms. */
  restartFailed(reason: string, pause: number): void;
}

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
  readonly #settings: Omit<IsolateSettings, "modules">;
  readonly #clock: Clock;
  readonly #listener: PoolListener;
  readonly #makeIsolate: IsolateMaker;
  /** What new isolates load; another array is another generation, whose isolates take the place of all before. */
  #modules: readonly ModuleFile[] = [];
  #isolates = 0;
  readonly #lanes: Lane[] = [];
  /** How many jobs an isolate may be given ahead of time, however short they are. */
  ahead = QUICK_PACE.ahead;
  /** Isolates of earlier generations, each until the last job that runs in it is reported. */
  readonly #retired = new Set<Lane>();
  /** What isolates that have died left behind, until another has room. */
  #homeless: Delivery[] = [];
  #deaths: number[] = [];
  #look: TimerHandle | undefined;
  #closed = false;

  constructor(
    settings: Omit<IsolateSettings, "modules">,
    clock: Clock,
    listener: PoolListener,
    makeIsolate: IsolateMaker = webWorker,
  ) {
    this.#makeIsolate = makeIsolate;
    this.#settings = settings;
    this.#clock = clock;
    this.#listener = listener;
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
   * as it is.
   *
   * @throws {TaskModuleError} When the modules can't be used.
   * @throws The signal's reason, when it aborts before the modules are loaded.
   */
  async replaceModules(
    modules: readonly ModuleFile[],
    signal: AbortSignal,
  ): Promise<readonly TaskDescription[]> {
    const { lane, tasks } = await this.#startLane(modules, signal);
    this.#modules = modules;
    this.#deaths = [];
    const old = this.#lanes.splice(0, this.#lanes.length, lane);
    const unstarted = old.flatMap((lane) => lane.takeBack(Infinity));
    for (const lane of old) {
      this.#retired.add(lane);
      this.#endIfDone(lane);
    }
    this.dispatch(unstarted);
    for (let i = 1; i < this.#isolates; i++) this.#addLater(0);
    this.#listener.reported();
    return tasks;
  }

  /** How many more deliveries it can take now. */
  get room(): number {
    let room = -this.#homeless.length;
    for (const lane of this.#lanes) room += lane.room;
    return Math.max(0, room);
  }

  /** Whether an isolate will soon have nothing to do. */
  get hungry(): boolean {
    return this.#lanes.some((lane) => lane.hungry);
  }

  /** How many deliveries are in it. */
  get size(): number {
    let size = this.#homeless.length;
    for (const lane of this.#lanes) size += lane.size;
    for (const lane of this.#retired) size += lane.size;
    return size;
  }

  /** How many of them run now. */
  get running(): number {
    let running = 0;
    for (const lane of this.#lanes) running += lane.running;
    for (const lane of this.#retired) running += lane.running;
    return running;
  }

  /** Hands deliveries over, so that all isolates then hold about equally much; one message each. */
  dispatch(deliveries: readonly Delivery[]): void {
    if (this.#homeless.length > 0) {
      deliveries = [...this.#homeless, ...deliveries];
      this.#homeless = [];
    }
    if (deliveries.length === 0) return;
    const shares = this.#shares(deliveries.length);
    let from = 0;
    for (let i = 0; i < shares.length; i++) {
      const to = from + shares[i];
      if (to > from) this.#lanes[i].give(deliveries, from, to);
      from = to;
    }
    if (from < deliveries.length) this.#homeless = deliveries.slice(from);
    this.#look ??= this.#clock.after(LOOK_EVERY_MS, () => this.#lookAround());
  }

  /**
   * The delivery that is held under a task's id, and whether it runs; where there are two, the one that runs. Looks into
   * all that is held: for rare questions only.
   */
  find(id: string): Held | undefined {
    const found = [...this.#lanes, ...this.#retired].flatMap((lane) => lane.find(id));
    for (const delivery of this.#homeless) {
      if (peekTask(delivery.text)?.id === id) found.push({ delivery, running: false });
    }
    return found.find(({ running }) => running) ?? found[0];
  }

  /**
   * Ends one delivery. Where it runs its isolate is ended with it and replaced at once; what had not started there moves
   * on to others, what else ran there is told as {@linkcode PoolListener.interrupted}. `why` is for the log.
   */
  end(delivery: Delivery, why: string): EndAnswer {
    const homeless = this.#homeless.indexOf(delivery);
    if (homeless >= 0) {
      this.#homeless.splice(homeless, 1);
      return "taken";
    }
    for (const lane of [...this.#lanes, ...this.#retired]) {
      const state = lane.withdraw(delivery);
      if (state === "gone") continue;
      if (state === "running") this.#endUnder(lane, delivery, why);
      else if (state === "taken" && this.#retired.has(lane)) this.#endIfDone(lane);
      return state === "running" ? "ended" : state === "taken" ? "taken" : "late";
    }
    return "late";
  }

  /** Takes back all that has not started: what a stopping worker returns to the broker. */
  takeBack(): Delivery[] {
    const taken = this.#lanes.flatMap((lane) => lane.takeBack(Infinity)).concat(this.#homeless);
    this.#homeless = [];
    return taken;
  }

  /** Ends all isolates at once; what may have run in them, and what had not started. */
  terminate(): { started: Delivery[]; unstarted: Delivery[] } {
    this.#closed = true;
    if (this.#look !== undefined) this.#clock.cancel(this.#look);
    const left = { started: [] as Delivery[], unstarted: this.#homeless };
    this.#homeless = [];
    const lanes = [...this.#lanes.splice(0), ...this.#retired];
    this.#retired.clear();
    for (const lane of lanes) {
      lane.isolate.terminate();
      const { started, unreported, unstarted } = lane.abandon();
      left.started.push(...started, ...unreported);
      left.unstarted.push(...unstarted);
    }
    return left;
  }

  /** How many of `count` deliveries each isolate gets: whichever would hold the least is next, while it has room. */
  #shares(count: number): number[] {
    const lanes = this.#lanes;
    const shares: number[] = new Array(lanes.length).fill(0);
    for (let left = count; left > 0;) {
      let best = -1, least = Infinity, room = 0;
      for (let i = 0; i < lanes.length; i++) {
        const size = lanes[i].size + shares[i];
        if (size >= least || lanes[i].room <= shares[i]) continue;
        best = i;
        least = size;
        room = lanes[i].room - shares[i];
      }
      if (best < 0) break;
      const share = Math.min(room, Math.ceil(left / lanes.length));
      shares[best] += share;
      left -= share;
    }
    return shares;
  }

  async #add(modules: readonly ModuleFile[]): Promise<readonly TaskDescription[]> {
    const { lane, tasks } = await this.#startLane(modules);
    // Newer modules, or the end, may have come while it started.
    if (this.#closed || this.#modules !== modules) {
      lane.isolate.terminate();
    } else {
      this.#lanes.push(lane);
      this.dispatch([]);
      if (lane.size === 0) this.#feed(lane);
    }
    return tasks;
  }

  /** Starts an isolate that has no place in the pool yet. */
  async #startLane(
    modules: readonly ModuleFile[],
    signal?: AbortSignal,
  ): Promise<{ lane: Lane; tasks: readonly TaskDescription[] }> {
    const listener: IsolateListener = {
      finished: (reports, busy) => this.#finished(lane, reports, busy),
      state: (state) => this.#listener.state(state),
      log: (line) => this.#listener.log(line),
      relay: (answer) => this.#listener.relay(answer),
      died: (reason) => this.#died(lane, reason),
    };
    const isolate = this.#makeIsolate({ ...this.#settings, modules }, listener, this.#clock);
    const lane = new Lane(isolate, this.#settings.slots, this.#clock, () => this.ahead);
    try {
      const tasks = await orAborted(isolate.start(), signal);
      signal?.throwIfAborted();
      return { lane, tasks };
    } catch (error) {
      isolate.terminate();
      throw error;
    }
  }

  #finished(lane: Lane, reports: readonly (number | string)[], busy: number): void {
    for (let i = 0; i < reports.length; i += REPORT_STRIDE) {
      const delivery = lane.finish(reports[i] as number);
      if (delivery === undefined) continue;
      this.#listener.finished(
        delivery,
        reports[i + 1] as number,
        reports[i + 2] as string,
        reports[i + 3] as string,
        reports[i + 4],
      );
    }
    if (reports.length > 0) lane.measure(reports.length / REPORT_STRIDE, busy);
    else lane.answered();
    if (this.#homeless.length > 0) this.dispatch([]);
    if (this.#retired.has(lane)) this.#endIfDone(lane);
    else if (lane.size === 0 && this.#lanes.includes(lane)) this.#feed(lane);
    this.#listener.reported();
  }

  /** An isolate has nothing left: it gets half of what waits in the fullest of the others. */
  #feed(idle: Lane): void {
    let fullest: Lane | undefined;
    for (const lane of this.#lanes) {
      if (lane !== idle && lane.size > 1 && (fullest === undefined || lane.size > fullest.size)) {
        fullest = lane;
      }
    }
    // What was handed over just now is about to start where it is.
    const moved = fullest?.takeBack(Math.min(idle.room, Math.floor(fullest.size / 2)), 1) ?? [];
    if (moved.length > 0) idle.give(moved, 0, moved.length);
  }

  #lookAround(): void {
    this.#look = undefined;
    const before = this.room;
    for (const lane of this.#lanes) {
      if (!lane.look()) continue;
      const room = this.room;
      if (room > 0) this.dispatch(lane.takeBack(room));
      const waiting = lane.takeBack(Infinity, HAND_BACK_MS);
      if (waiting.length > 0) this.#listener.handBack(waiting);
    }
    if (this.size > 0) this.#look ??= this.#clock.after(LOOK_EVERY_MS, () => this.#lookAround());
    // An isolate that was held up for a moment takes more again, and has nothing to report that would say so.
    if (this.room > before) this.#listener.reported();
  }

  /** An isolate of an earlier generation is needed no more once all that ran in it is reported. */
  #endIfDone(lane: Lane): void {
    if (lane.size > 0) return;
    this.#retired.delete(lane);
    lane.isolate.terminate();
  }

  /** Ends the isolate that runs `delivery`, whose end is no fault of the isolate's: the next one starts at once. */
  #endUnder(lane: Lane, delivery: Delivery, why: string): void {
    const wasAtWork = this.#remove(lane) === "at work";
    lane.isolate.terminate();
    const { unstarted, started, unreported } = lane.abandon();
    const others = [...started, ...unreported].filter((other) => other !== delivery);
    if (others.length > 0) this.#listener.interrupted(others, why);
    this.dispatch(unstarted);
    if (wasAtWork) this.#addLater(0);
  }

  #died(lane: Lane, reason: string): void {
    const was = this.#remove(lane);
    if (was === "gone" || this.#closed) return;
    const { unstarted, started, unreported } = lane.abandon();
    this.#listener.died(reason, started, unreported);
    this.dispatch(unstarted);
    if (was === "at work") this.#replace();
  }

  /** Takes an isolate out of the pool, and tells what it was there. */
  #remove(lane: Lane): "at work" | "retired" | "gone" {
    if (this.#retired.delete(lane)) return "retired";
    const index = this.#lanes.indexOf(lane);
    if (index < 0) return "gone";
    this.#lanes.splice(index, 1);
    return "at work";
  }

  #replace(): void {
    const now = this.#clock.monotonic();
    this.#deaths = this.#deaths.filter((at) => now - at < DEATHS_KEPT_MS);
    // The first few are replaced at once; an isolate that dies again and again must not keep the worker busy.
    const pause = this.#deaths.length < 3
      ? 0
      : Math.min(LONGEST_PAUSE_MS, 100 * 2 ** (this.#deaths.length - 3));
    this.#deaths.push(now);
    this.#addLater(pause);
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
          if (!isNeeded()) return;
          this.#listener.restartFailed(String(error), pause);
          this.#replace();
        },
      );
    };
    if (pause === 0) add();
    else this.#clock.after(pause, add);
  }
}
