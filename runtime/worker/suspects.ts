/**
 * Suspects: messages that a worker had in its hands when it died. One of them may have been the reason; together they would
 * take the next worker down, too, until all of them had been counted often enough to be dead letters. So between **receive**
 * and **dispatch** they are kept apart: one at a time runs, in a child process that serves one after the other, and each
 * start is counted in the broker before it happens. The guilty one takes only that process down, and its count grows; the
 * innocent are done. What was counted too often is not started any more.
 *
 * Around the pool of everything else it is a pool itself, so that its worker need not know where a delivery is.
 */
import type { Clock, TimerHandle } from "../clock.ts";
import type { Death } from "../isolate/isolate.ts";
import type { LimitsOfTask } from "../isolate/time_limits.ts";
import type { ModuleFile } from "../isolate/load_modules.ts";
import { deliveriesOf } from "../protocol/envelope.ts";
import { peekTask } from "../protocol/task_message.ts";
import type { Delivery } from "../transport/transport.ts";
import type { PoolListener } from "./pool_listener.ts";
import type { Pools } from "./pools.ts";

/** What a worker asks of its pools. */
export type AnyPool = Pick<Pools, keyof Pools>;

/** So many suspects are in a worker's hands at the most; it fetches nothing while there are more. */
const MOST = 256;
/** Suspects that wait this long behind one that runs go back to the broker for some seconds: others may be idle. */
const PATIENCE_MS = 1_000;
const AWAY_MS = 1_000;
const AWAY_SPREAD_MS = 3_000;
/** The process ends when there were no suspects for so long. */
const IDLE_MS = 30_000;

/** For so long after its start a worker takes the hints of a broker that can't count for the end of another one. */
const HINTS_MS = 60_000;

/** What suspects tell the worker, beside what every pool does. */
export interface SuspectsListener extends PoolListener {
  /** Counts a start in the broker before it happens: `uncounted` where it can't be, `lost` when it is not ours any more. */
  countStart(delivery: Delivery): Promise<"counted" | "uncounted" | "lost">;
  /** It was counted too often: it is to be a dead letter. */
  condemned(delivery: Delivery, reason: string): void;
  /** Its process has died under it: it is to run again, counted unless it was so at its start. */
  crashed(delivery: Delivery, reason: string, wasCounted: boolean): void;
  /** These may wait elsewhere until `due` (ms since 1970); gives back those that can't. */
  putOff(deliveries: readonly Delivery[], due: number): Delivery[];
  /** No process can be started for them: they run as all others do. */
  unguarded(why: string): void;
}

export interface SuspectsOptions {
  readonly clock: Clock;
  /** From 0 up to 1, as `Math.random`. */
  readonly random: () => number;
  readonly maxDeliveries: number;
  /** None is put off: the worker ends when its queues hold nothing ready. */
  readonly keeps: boolean;
  /** Makes the pool that they run in: isolates that are processes. */
  readonly apart: (listener: PoolListener) => AnyPool;
}

/** A suspect whose turn it is. */
interface Turn {
  readonly delivery: Delivery;
  /** By the monotonic clock, since it was handed over; before that nothing. */
  since: number | undefined;
  isCounted: boolean;
}

/** A pool that runs suspects apart, and everything else in another pool. */
export class Suspects implements AnyPool {
  readonly #others: AnyPool;
  readonly #listener: SuspectsListener;
  readonly #options: SuspectsOptions;
  #modules: readonly ModuleFile[] = [];
  #waiting: Delivery[] = [];
  /** The one whose turn it is. */
  #current: Turn | undefined;
  #pool: AnyPool | undefined;
  #opening: Promise<AnyPool> | undefined;
  /** Its modules are the latest. */
  #isCurrent = true;
  #isUnable = false;
  #hintsUntil = -Infinity;
  #isClosed = false;
  #patience: TimerHandle | undefined;
  #idle: TimerHandle | undefined;

  constructor(others: AnyPool, listener: SuspectsListener, options: SuspectsOptions) {
    this.#others = others;
    this.#listener = listener;
    this.#options = options;
  }

  /**
   * The broker can't count how often workers died with a message, it only hints that it was handed out before. Whoever looks
   * after workers starts another one when one has died, so just after a start these hints are taken seriously.
   */
  takeHints(): void {
    this.#hintsUntil = this.#options.clock.monotonic() + HINTS_MS;
  }

  start(modules: readonly ModuleFile[], isolates: number): ReturnType<AnyPool["start"]> {
    this.#modules = modules;
    return this.#others.start(modules, isolates);
  }

  async replaceModules(
    modules: readonly ModuleFile[],
    signal: AbortSignal,
  ): ReturnType<AnyPool["replaceModules"]> {
    const tasks = await this.#others.replaceModules(modules, signal);
    this.#modules = modules;
    this.#isCurrent = this.#pool === undefined;
    this.#next();
    return tasks;
  }

  get ahead(): number {
    return this.#others.ahead;
  }

  set ahead(ahead: number) {
    this.#others.ahead = ahead;
  }

  get room(): number {
    return this.#waiting.length >= MOST ? 0 : this.#others.room;
  }

  get hungry(): boolean {
    return this.#others.hungry;
  }

  get size(): number {
    return this.#others.size + this.#waiting.length + (this.#current === undefined ? 0 : 1);
  }

  get running(): number {
    return this.#others.running + (this.#pool?.running ?? 0);
  }

  dispatch(deliveries: readonly Delivery[]): void {
    const hints = this.#options.clock.monotonic() < this.#hintsUntil;
    const isSuspect = ({ text }: Delivery) => wasRestored(text) || hints && isHinted(text);
    if (this.#isUnable || !deliveries.some(isSuspect)) return this.#others.dispatch(deliveries);
    this.#waiting.push(...deliveries.filter(isSuspect));
    this.#next();
    this.#others.dispatch(deliveries.filter((delivery) => !isSuspect(delivery)));
  }

  find(id: string): ReturnType<AnyPool["find"]> {
    return this.#apart().find(({ delivery }) => peekTask(delivery.text)?.id === id) ?? this.#others.find(id);
  }

  list(): ReturnType<AnyPool["list"]> {
    return this.#apart().concat(this.#others.list());
  }

  silences(): ReturnType<AnyPool["silences"]> {
    return [...this.#pool?.silences() ?? [], ...this.#others.silences()];
  }

  withdraw(delivery: Delivery): boolean {
    return this.#takeOut(delivery) || this.#others.withdraw(delivery);
  }

  end(delivery: Delivery, why: string): ReturnType<AnyPool["end"]> {
    if (this.#takeOut(delivery)) return "taken";
    if (delivery !== this.#current?.delivery) return this.#others.end(delivery, why);
    const answer = this.#pool!.end(delivery, why);
    if (answer !== "late") this.#over(delivery);
    return answer;
  }

  setLimits(limits: LimitsOfTask): void {
    this.#others.setLimits(limits);
    this.#pool?.setLimits(limits);
  }

  takeBack(): Delivery[] {
    const taken = this.#waiting.splice(0);
    if (this.#current !== undefined && this.#current.since === undefined) {
      taken.unshift(this.#current.delivery);
      this.#current = undefined;
    }
    return taken.concat(this.#others.takeBack());
  }

  terminate(): ReturnType<AnyPool["terminate"]> {
    this.#isClosed = true;
    this.#options.clock.cancel(this.#patience);
    this.#options.clock.cancel(this.#idle);
    const apart = this.#pool?.terminate() ?? { started: [], unstarted: [] };
    const unstarted = [...apart.unstarted, ...this.takeBack()];
    this.#current = undefined;
    const others = this.#others.terminate();
    return {
      started: [...apart.started, ...others.started],
      unstarted: [...unstarted, ...others.unstarted],
    };
  }

  /** Suspects, the one whose turn it is first. */
  #apart(): ReturnType<AnyPool["list"]> {
    const waiting = this.#waiting.map((delivery) => ({ delivery, running: false }));
    if (this.#current === undefined) return waiting;
    if (this.#current.since !== undefined) return this.#pool!.list().concat(waiting);
    return [{ delivery: this.#current.delivery, running: false }, ...waiting];
  }

  /** Takes out one that was not handed over. */
  #takeOut(delivery: Delivery): boolean {
    const index = this.#waiting.indexOf(delivery);
    if (index >= 0) this.#waiting.splice(index, 1);
    const isNext = this.#current?.delivery === delivery && this.#current.since === undefined;
    if (isNext) this.#over(delivery);
    return index >= 0 || isNext;
  }

  /** Its turn is over; the next one's comes. */
  #over(delivery: Delivery): void {
    if (this.#current?.delivery !== delivery) return;
    this.#current = undefined;
    this.#next();
  }

  #next(): void {
    if (this.#current !== undefined || this.#isClosed) return;
    if (!this.#isCurrent) this.#endProcess();
    const delivery = this.#waiting.shift();
    const { clock } = this.#options;
    if (delivery === undefined) {
      if (this.#pool !== undefined) this.#idle ??= clock.after(IDLE_MS, () => this.#endProcess());
      return;
    }
    clock.cancel(this.#idle);
    this.#idle = undefined;
    this.#current = { delivery, since: undefined, isCounted: false };
    this.#patience ??= clock.after(PATIENCE_MS, () => this.#look());
    void this.#begin(this.#current);
  }

  async #begin(current: Turn): Promise<void> {
    const { delivery } = current;
    const { maxDeliveries } = this.#options;
    if (deliveriesOf(delivery.text) > maxDeliveries) {
      this.#listener.condemned(delivery, `restored ${maxDeliveries} times and never settled`);
      this.#over(delivery);
      return this.#listener.reported();
    }
    let pool: AnyPool;
    try {
      pool = await (this.#opening ??= this.#open());
    } catch (error) {
      return this.#unguard(error);
    }
    if (this.#current !== current) return;
    // Only the end of the worker keeps it from being counted, as the broker may be away.
    const counted = await this.#listener.countStart(delivery).catch(() => undefined);
    if (this.#current !== current || counted === undefined) return;
    if (counted === "lost") {
      this.#over(delivery);
      return this.#listener.reported();
    }
    current.isCounted = counted === "counted";
    current.since = this.#options.clock.monotonic();
    pool.dispatch([delivery]);
  }

  async #open(): Promise<AnyPool> {
    const pool = this.#pool = this.#options.apart({
      ...this.#listener,
      finished: (delivery, ...report) => {
        this.#listener.finished(delivery, ...report);
        this.#over(delivery);
      },
      interrupted: (deliveries, why) => {
        this.#listener.interrupted(deliveries, why);
        for (const delivery of deliveries) this.#over(delivery);
      },
      // Its process does not start.
      handBack: (deliveries) => {
        this.#listener.handBack(deliveries);
        for (const delivery of deliveries) this.#over(delivery);
      },
      overLimit: (delivery, seconds) => {
        this.#listener.overLimit(delivery, seconds);
        this.#over(delivery);
      },
      died: (reason, started, unreported, how) => this.#died(reason, started, unreported, how),
    });
    await pool.start(this.#modules, 1);
    return pool;
  }

  #died(reason: string, started: readonly Delivery[], unreported: readonly Delivery[], how?: Death): void {
    const wasCounted = this.#current?.isCounted ?? false;
    if (how === "crashed") {
      for (const delivery of [...started, ...unreported]) {
        this.#listener.crashed(delivery, reason, wasCounted);
      }
    } else this.#listener.died(reason, started, unreported, how, wasCounted);
    for (const delivery of [...started, ...unreported]) this.#over(delivery);
    this.#listener.reported();
  }

  /** Nothing can be kept apart here: it is said, and all run as others do. */
  #unguard(error: unknown): void {
    this.#endProcess();
    if (this.#isClosed) return;
    this.#isUnable = true;
    this.#listener.unguarded(error instanceof Error ? error.message : String(error));
    const all = this.#waiting.splice(0);
    if (this.#current !== undefined) all.unshift(this.#current.delivery);
    this.#current = undefined;
    this.#others.dispatch(all);
  }

  #endProcess(): void {
    this.#pool?.terminate();
    this.#pool = this.#opening = undefined;
    this.#isCurrent = true;
    this.#idle = undefined;
  }

  /** Whether suspects wait behind a long one. */
  #look(): void {
    const { clock, random, keeps } = this.#options;
    this.#patience = undefined;
    if (this.#isClosed || this.#current === undefined) return;
    const { since = Infinity } = this.#current;
    if (!keeps && this.#waiting.length > 0 && clock.monotonic() - since >= PATIENCE_MS) {
      const due = clock.now() + AWAY_MS + random() * AWAY_SPREAD_MS;
      this.#waiting = this.#listener.putOff(this.#waiting, due);
      this.#listener.reported();
    }
    this.#patience ??= clock.after(PATIENCE_MS, () => this.#look());
  }
}

/** Whether a worker had it that died, or was taken for dead. */
function wasRestored(text: string): boolean {
  // Few are, and this costs the others next to nothing.
  return text.includes("celeriac_deliveries") && deliveriesOf(text) > 0;
}

function isHinted(text: string): boolean {
  return /"redelivered":\s*true/.test(text);
}
