/**
 * The isolates of a worker: **dispatch**. Hands deliveries to them ahead of time, moves what waits behind a long task
 * to an idle one, gives back to the broker what nobody here can start, and replaces an isolate that has died.
 */
import type { Clock, TimerHandle } from "../clock.ts";
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
import type { Delivery } from "../transport/transport.ts";
import { Lane } from "./lane.ts";

const LOOK_EVERY_MS = 20;
/** A delivery that waits this long behind a long task goes back to the broker, where an idle worker gets it. */
const HAND_BACK_MS = 1000;
/** Isolates that died lately make the next start wait: 100 ms, 200 ms, ... */
const DEATHS_KEPT_MS = 10_000;
const LONGEST_PAUSE_MS = 10_000;

/** What a pool tells the worker. */
export interface PoolListener {
  /** A job is finished; see `isolate.ts` for what a report says. */
  finished(delivery: Delivery, report: number, id: string, text: string, extra: number | string): void;
  /** All jobs of one message from an isolate were told, or there is more room than before. */
  reported(): void;
  state(state: StateReport): void;
  log(line: LogReport): void;
  /** These wait behind long tasks and go back to the broker. */
  handBack(deliveries: readonly Delivery[]): void;
  /** An isolate died: `started` ran in it, `unreported` had run and their outcome is lost. */
  died(reason: string, started: readonly Delivery[], unreported: readonly Delivery[]): void;
  /** A new isolate could not be started; it is tried again after `pause` ms. */
  restartFailed(reason: string, pause: number): void;
}

export class Pool {
  readonly #settings: Omit<IsolateSettings, "modules">;
  readonly #clock: Clock;
  readonly #listener: PoolListener;
  #modules: readonly ModuleFile[] = [];
  readonly #lanes: Lane[] = [];
  /** What isolates that have died left behind, until another has room. */
  #homeless: Delivery[] = [];
  #deaths: number[] = [];
  #look: TimerHandle | undefined;
  #closed = false;

  constructor(settings: Omit<IsolateSettings, "modules">, clock: Clock, listener: PoolListener) {
    this.#settings = settings;
    this.#clock = clock;
    this.#listener = listener;
  }

  /** Starts `isolates` isolates that load `modules`; the first one checks them. @throws {TaskModuleError} */
  async start(modules: readonly ModuleFile[], isolates: number): Promise<readonly TaskDescription[]> {
    this.#modules = modules;
    const tasks = await this.#add();
    await Promise.all(Array.from({ length: isolates - 1 }, () => this.#add()));
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
    return this.#lanes.reduce((sum, lane) => sum + lane.size, this.#homeless.length);
  }

  /** How many of them run now. */
  get running(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.running, 0);
  }

  /** Hands deliveries over, each time to the isolate that holds the least. */
  dispatch(deliveries: readonly Delivery[]): void {
    if (this.#homeless.length > 0) {
      deliveries = [...this.#homeless, ...deliveries];
      this.#homeless = [];
    }
    let from = 0;
    while (from < deliveries.length) {
      const lane = this.#emptiest();
      if (lane === undefined) {
        this.#homeless = deliveries.slice(from);
        break;
      }
      const share = Math.ceil((deliveries.length - from) / this.#lanes.length);
      const to = Math.min(deliveries.length, from + Math.max(1, Math.min(lane.room, share)));
      lane.give(deliveries, from, to);
      from = to;
    }
    if (deliveries.length > 0) this.#look ??= this.#clock.after(LOOK_EVERY_MS, () => this.#lookAround());
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
    for (const lane of this.#lanes.splice(0)) {
      lane.isolate.terminate();
      const { started, unreported, unstarted } = lane.abandon();
      left.started.push(...started, ...unreported);
      left.unstarted.push(...unstarted);
    }
    return left;
  }

  #emptiest(): Lane | undefined {
    let best: Lane | undefined;
    for (const lane of this.#lanes) {
      if (lane.room > 0 && (best === undefined || lane.size < best.size)) best = lane;
    }
    return best;
  }

  async #add(): Promise<readonly TaskDescription[]> {
    const listener: IsolateListener = {
      finished: (reports, busy) => this.#finished(lane, reports, busy),
      state: (state) => this.#listener.state(state),
      log: (line) => this.#listener.log(line),
      died: (reason) => this.#died(lane, reason),
    };
    const isolate = new WebWorkerIsolate(
      { ...this.#settings, modules: this.#modules },
      listener,
      this.#clock,
    );
    const lane = new Lane(isolate, this.#settings.slots, this.#clock);
    try {
      const tasks = await isolate.start();
      if (this.#closed) isolate.terminate();
      else this.#lanes.push(lane);
      return tasks;
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
    if (lane.size === 0) this.#feed(lane);
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

  #died(lane: Lane, reason: string): void {
    const index = this.#lanes.indexOf(lane);
    if (index < 0 || this.#closed) return;
    this.#lanes.splice(index, 1);
    const { unstarted, started, unreported } = lane.abandon();
    this.#listener.died(reason, started, unreported);
    this.dispatch(unstarted);
    this.#replace();
  }

  #replace(): void {
    const now = this.#clock.monotonic();
    this.#deaths = this.#deaths.filter((at) => now - at < DEATHS_KEPT_MS);
    // The first few are replaced at once; an isolate that dies again and again must not keep the worker busy.
    const pause = this.#deaths.length < 3
      ? 0
      : Math.min(LONGEST_PAUSE_MS, 100 * 2 ** (this.#deaths.length - 3));
    this.#deaths.push(now);
    this.#clock.after(pause, () => {
      if (this.#closed) return;
      this.#add().then(
        () => {
          this.dispatch([]);
          this.#listener.reported();
        },
        (error) => {
          this.#listener.restartFailed(String(error), pause);
          this.#replace();
        },
      );
    });
  }
}
