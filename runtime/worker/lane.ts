/**
 * One isolate as the pool sees it: what it holds, how fast it is, how much more it may be given. Part of
 * **dispatch**.
 */
import type { Clock } from "../clock.ts";
import type { Job } from "../isolate/claim_board.ts";
import { JobNumbers } from "../isolate/claim_board.ts";
import { type FollowReport, type Isolate, type Lifetime, UNANSWERED_LOOKS } from "../isolate/isolate.ts";
import type { Following } from "../protocol/chord.ts";
import { peekTask } from "../protocol/task_message.ts";
import { type Delivery, QUICK_PACE } from "../transport/transport.ts";

/** How much work, in ms, is handed to an isolate ahead of time. */
const AHEAD_MS = 20;
/** A lane that reports nothing for this long is in a long task. */
const QUIET_MS = 20;

/** A delivery that was looked for, and whether it runs. */
export interface Held {
  readonly delivery: Delivery;
  readonly running: boolean;
  /** When it started, in ms since 1970. */
  readonly startedAt?: number;
}

/** A delivery that has run longer than its hard limit. */
export interface Overdue {
  readonly delivery: Delivery;
  /** The limit, in seconds. */
  readonly limit: number;
}

/** What a lane is beside its isolate. */
export interface LaneOptions {
  readonly clock: Clock;
  /** Tasks at once. */
  readonly slots: number;
  /** How many jobs it may be given ahead of time, however short they are. */
  readonly ahead?: () => number;
  /** After how much another takes its place. Default: never. */
  readonly lifetime?: Lifetime;
}

/** An isolate with the deliveries that are in it. */
export class Lane {
  readonly isolate: Isolate;
  readonly #slots: number;
  readonly #ahead: () => number;
  readonly #clock: Clock;
  readonly #maxTasks: number;
  readonly #maxMemory: number;
  readonly #numbers = new JobNumbers();
  /** In the order they were handed over. */
  readonly #held = new Map<Job, Delivery>();
  /** What is to be done when a job is settled, from when the isolate told it until the job's report. */
  readonly #follow = new Map<Job, Following>();
  readonly #handedOver = new Float64Array(JobNumbers.capacity);
  /** When jobs that have a hard limit are over it, by the monotonic clock; 0 where that is not known yet. */
  #deadlines: Float64Array | undefined;
  /** Given and not taken back. */
  #given = 0;
  /** Whose place it has taken: together they run no more than one of them may. */
  #predecessor: Lane | undefined;
  /** Mean run time of a job in ms, the latest counting most; undefined before the first report. */
  #mean: number | undefined;
  #lastProgress = 0;
  /** When it was asked for a sign of life that has not come yet. */
  #askedAt: number | undefined;
  /** Looks in a row since then at which none of its jobs ran. */
  #unanswered = 0;
  #state: "lively" | "slow" | "blocked" = "lively";

  constructor(isolate: Isolate, { clock, slots, ahead, lifetime }: LaneOptions) {
    this.isolate = isolate;
    this.#slots = slots;
    this.#ahead = ahead ?? (() => QUICK_PACE.ahead);
    this.#clock = clock;
    this.#maxTasks = lifetime?.tasks ?? Infinity;
    this.#maxMemory = lifetime?.memory ?? Infinity;
  }

  /** It takes the place of another, which runs what it has to its end. */
  takeOver(predecessor: Lane): void {
    this.#predecessor = predecessor;
  }

  /** How many deliveries are in it. */
  get size(): number {
    return this.#held.size;
  }

  /**
   * How many more it may be given. Before its speed is known, and while it is in a long task, only as many as it
   * can start at once; none while what it was given is not even started, or a task has it for itself.
   */
  get room(): number {
    return Math.max(0, Math.min(this.#capacity() - this.#held.size, this.#maxTasks - this.#given));
  }

  /** Whether a slot of it is free, or it has done half of what it may be given: time for more, in one go. */
  get hungry(): boolean {
    return this.room > 0 && (this.#held.size < this.#slots || this.#held.size * 2 <= this.#capacity());
  }

  /** Whether it has got as many jobs, or holds as much memory, as it may. */
  get isSpent(): boolean {
    return this.#given >= this.#maxTasks || this.isolate.board.heap > this.#maxMemory;
  }

  /** Whether it will have soon. */
  get nearsItsEnd(): boolean {
    return this.#given > 0 && this.#given + this.#capacity() >= this.#maxTasks || this.isSpent;
  }

  #capacity(): number {
    if (this.#state === "blocked" || this.isolate.board.isExclusive) return 0;
    if (this.#predecessor !== undefined) {
      if (this.#predecessor.size > 0) return Math.max(0, this.#slots - this.#predecessor.size);
      this.#predecessor = undefined;
    }
    if (this.#state === "slow" || this.#mean === undefined) return this.#slots;
    const ahead = Math.min(this.#ahead(), this.#slots * Math.floor(AHEAD_MS / this.#mean));
    return Math.min(JobNumbers.capacity, this.#slots + ahead);
  }

  /** Hands `deliveries` from `from` up to `to` over to the isolate. */
  give(deliveries: readonly Delivery[], from: number, to: number): void {
    const now = this.#clock.monotonic();
    if (this.#held.size === 0) this.#lastProgress = now;
    const jobs: (number | string)[] = [];
    for (let i = from; i < to; i++) {
      const job = this.#numbers.take();
      this.#held.set(job, deliveries[i]);
      this.#handedOver[JobNumbers.slotOf(job)] = now;
      if (this.#deadlines !== undefined) this.#deadlines[JobNumbers.slotOf(job)] = 0;
      this.isolate.board.offer(job);
      jobs.push(job, deliveries[i].text);
    }
    this.#given += to - from;
    this.isolate.run(jobs);
  }

  /** The delivery of a reported job, which is in the isolate no more. */
  finish(job: Job): Delivery | undefined {
    const delivery = this.#held.get(job);
    if (delivery !== undefined) this.#remove(job);
    return delivery;
  }

  /** Keeps what follows jobs that are about to be reported. */
  keepFollow(follow: FollowReport): void {
    for (let i = 0; i < follow.length; i += 2) {
      this.#follow.set(follow[i] as Job, follow[i + 1] as Following);
    }
  }

  /** Gives out what follows a job; mostly nothing. */
  takeFollow(job: Job): Following | undefined {
    if (this.#follow.size === 0) return undefined;
    const follow = this.#follow.get(job);
    this.#follow.delete(job);
    return follow;
  }

  /** Counts a report of `jobs` jobs that ran `busy` ms together. */
  measure(jobs: number, busy: number): void {
    const mean = Math.max(busy / jobs, 0.001);
    const weight = Math.min(0.5, jobs / 50);
    this.#mean = this.#mean === undefined ? mean : this.#mean * (1 - weight) + mean * weight;
    this.#lastProgress = this.#clock.monotonic();
    this.#state = "lively";
    this.#askedAt = undefined;
  }

  /** The isolate has answered {@linkcode Isolate.ask}: whatever kept it from starting jobs is over. */
  answered(): void {
    this.#askedAt = undefined;
    if (this.#state === "blocked" && !this.#has("waiting")) this.#state = "slow";
  }

  /** Asks for a sign of life where something runs or waits; tells for how many ms none has come. */
  silence(): number {
    const now = this.#clock.monotonic();
    if (this.#held.size === 0 && this.#state !== "blocked") this.#askedAt = undefined;
    else if (this.#askedAt === undefined) {
      this.#askedAt = now;
      this.#unanswered = 0;
      this.isolate.ask();
    } else if (this.running > 0) this.#unanswered = 0;
    else this.#unanswered++;
    return this.#askedAt === undefined ? 0 : now - this.#askedAt;
  }

  /** Whether something holds it up that is no task of it. Looks are counted, since a process that was stopped has a late clock. */
  get isHeldUp(): boolean {
    return this.#askedAt !== undefined && this.#unanswered >= UNANSWERED_LOOKS;
  }

  /** Looks whether it is in a long task; true when deliveries wait behind one. */
  look(): boolean {
    if (this.#held.size === 0 || this.#clock.monotonic() - this.#lastProgress <= QUIET_MS) return false;
    this.#state = this.#has("waiting") ? "blocked" : "slow";
    return this.#state === "blocked";
  }

  /** Whether it holds a job in that state. */
  #has(state: "waiting" | "running"): boolean {
    for (const job of this.#held.keys()) if (this.isolate.board.state(job) === state) return true;
    return false;
  }

  /**
   * What has run longer than its hard limit. The time is counted from when it was first seen to run, so that a clock which
   * is set anew ends nothing; how long it had run by then the board tells.
   */
  overdue(): Overdue[] {
    const { board } = this.isolate;
    if (!board.hasLimits) return [];
    const deadlines = this.#deadlines ??= new Float64Array(JobNumbers.capacity);
    const now = this.#clock.monotonic(), time = this.#clock.now();
    const overdue: Overdue[] = [];
    for (const [job, delivery] of this.#held) {
      const state = board.state(job);
      // Jobs start in the order in which they were handed over.
      if (state === "waiting") break;
      const limit = state === "running" ? board.limitOf(job) : 0;
      if (limit === 0) continue;
      const slot = JobNumbers.slotOf(job);
      if (deadlines[slot] === 0) {
        // Whatever stands there: the board is the isolate's as well.
        const ran = Math.min(now - this.#handedOver[slot], Math.max(0, time - board.startedAt(job)) || 0);
        deadlines[slot] = now - ran + limit * 1000;
      }
      if (now >= deadlines[slot]) overdue.push({ delivery, limit: rounded(limit) });
    }
    return overdue;
  }

  /** How many run now. */
  get running(): number {
    let running = 0;
    for (const job of this.#held.keys()) if (this.isolate.board.state(job) === "running") running++;
    return running;
  }

  /** Takes back at most `limit` deliveries that have waited `since` ms and not started, the last handed over first. */
  takeBack(limit: number, since = 0): Delivery[] {
    const before = this.#clock.monotonic() - since;
    const taken: Delivery[] = [];
    for (const [job, delivery] of [...this.#held].reverse()) {
      if (taken.length >= limit) break;
      if (this.#handedOver[JobNumbers.slotOf(job)] > before || !this.isolate.board.takeBack(job)) continue;
      this.#remove(job);
      taken.push(delivery);
    }
    this.#given -= taken.length;
    if (taken.length > 0 && this.#state === "blocked") this.isolate.ask();
    return taken.reverse();
  }

  /** A delivery under a task's id, be it done and not reported yet. */
  held(id: string): Delivery | undefined {
    for (const delivery of this.#held.values()) if (peekTask(delivery.text)?.id === id) return delivery;
    return undefined;
  }

  /** The deliveries under a task's id that are not done. Looks into each that is held: for rare questions only. */
  find(id: string): Held[] {
    return this.list(({ text }) => peekTask(text)?.id === id);
  }

  /** The deliveries that are not done, of those that are asked for. */
  list(isAsked: (delivery: Delivery) => boolean = () => true): Held[] {
    const { board } = this.isolate;
    const found: Held[] = [];
    for (const [job, delivery] of this.#held) {
      if (!isAsked(delivery)) continue;
      const state = board.state(job);
      if (state === "running") found.push({ delivery, running: true, startedAt: board.startedAt(job) });
      else if (state === "waiting") found.push({ delivery, running: false });
    }
    return found;
  }

  /**
   * Takes one delivery back unless it has started; otherwise tells how far it is. `"gone"` is one that it does not hold.
   * One that is done will be reported.
   */
  withdraw(delivery: Delivery): "taken" | "running" | "done" | "gone" {
    for (const [job, held] of this.#held) {
      if (held !== delivery) continue;
      if (this.isolate.board.takeBack(job)) {
        this.#given--;
        this.#remove(job);
        return "taken";
      }
      return this.isolate.board.state(job) === "running" ? "running" : "done";
    }
    return "gone";
  }

  /**
   * Empties the lane of an isolate that ends: what had not started, and what may have run. Its thread may go on for a
   * moment after it was told to end, so what had not started is taken back, and then never will.
   */
  abandon(): { unstarted: Delivery[]; started: Delivery[]; unreported: Delivery[] } {
    const left = { unstarted: [] as Delivery[], started: [] as Delivery[], unreported: [] as Delivery[] };
    const { board } = this.isolate;
    for (const [job, delivery] of this.#held) {
      if (board.takeBack(job)) left.unstarted.push(delivery);
      else if (board.state(job) === "running") left.started.push(delivery);
      else left.unreported.push(delivery);
    }
    this.#held.clear();
    return left;
  }

  #remove(job: Job): void {
    this.#held.delete(job);
    this.#numbers.release(job);
  }
}

/** A limit as it was given: the board keeps some seven digits of it. */
function rounded(limit: number): number {
  return Number(limit.toPrecision(7));
}
