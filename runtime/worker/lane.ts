/**
 * One isolate as the pool sees it: what it holds, how fast it is, how much more it may be given. Part of
 * **dispatch**.
 */
import type { Clock } from "../clock.ts";
import type { Job } from "../isolate/claim_board.ts";
import { JobNumbers } from "../isolate/claim_board.ts";
import type { Isolate } from "../isolate/isolate.ts";
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
}

/** An isolate with the deliveries that are in it. */
export class Lane {
  readonly isolate: Isolate;
  readonly #slots: number;
  readonly #ahead: () => number;
  readonly #clock: Clock;
  readonly #numbers = new JobNumbers();
  /** In the order they were handed over. */
  readonly #held = new Map<Job, Delivery>();
  readonly #handedOver = new Float64Array(JobNumbers.capacity);
  /** Mean run time of a job in ms, the latest counting most; undefined before the first report. */
  #mean: number | undefined;
  #lastProgress = 0;
  #state: "lively" | "slow" | "blocked" = "lively";

  /** `ahead` is how many jobs it may be given ahead of time, however short they are. */
  constructor(isolate: Isolate, slots: number, clock: Clock, ahead: () => number = () => QUICK_PACE.ahead) {
    this.isolate = isolate;
    this.#slots = slots;
    this.#ahead = ahead;
    this.#clock = clock;
  }

  /** How many deliveries are in it. */
  get size(): number {
    return this.#held.size;
  }

  /**
   * How many more it may be given. Before its speed is known, and while it is in a long task, only as many as it
   * can start at once; none while what it was given is not even started.
   */
  get room(): number {
    return Math.max(0, this.#capacity() - this.#held.size);
  }

  /** Whether a slot of it is free, or it has done half of what it may be given: time for more, in one go. */
  get hungry(): boolean {
    return this.#held.size < this.#slots || this.#held.size * 2 <= this.#capacity();
  }

  #capacity(): number {
    if (this.#state === "blocked") return 0;
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
      this.isolate.board.offer(job);
      jobs.push(job, deliveries[i].text);
    }
    this.isolate.run(jobs);
  }

  /** The delivery of a reported job, which is in the isolate no more. */
  finish(job: Job): Delivery | undefined {
    const delivery = this.#held.get(job);
    if (delivery !== undefined) this.#remove(job);
    return delivery;
  }

  /** Counts a report of `jobs` jobs that ran `busy` ms together. */
  measure(jobs: number, busy: number): void {
    const mean = Math.max(busy / jobs, 0.001);
    const weight = Math.min(0.5, jobs / 50);
    this.#mean = this.#mean === undefined ? mean : this.#mean * (1 - weight) + mean * weight;
    this.#lastProgress = this.#clock.monotonic();
    this.#state = "lively";
  }

  /** The isolate has answered {@linkcode Isolate.ask}: whatever kept it from starting jobs is over. */
  answered(): void {
    if (this.#state === "blocked" && !this.#has("waiting")) this.#state = "slow";
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
    if (taken.length > 0 && this.#state === "blocked") this.isolate.ask();
    return taken.reverse();
  }

  /** The deliveries under a task's id that are not done. Looks into each that is held: for rare questions only. */
  find(id: string): Held[] {
    const found: Held[] = [];
    for (const [job, delivery] of this.#held) {
      if (peekTask(delivery.text)?.id !== id) continue;
      const state = this.isolate.board.state(job);
      if (state === "waiting" || state === "running") found.push({ delivery, running: state === "running" });
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
