/**
 * The lease under which a receiver holds its deliveries, where a broker has no clock of its own (memory, SQLite):
 * on a task's way, what stands between receive and settle when a worker dies. A worker's beat is counted up while it
 * lives. Its peers restore what it held once they have themselves watched the beat stand still for a full lease, by
 * a monotonic clock and while the broker answered them: a paused broker, a machine that wakes up or a clock that was
 * set make nobody look dead.
 */
import type { Clock, TimerHandle } from "../clock.ts";

/** One owner of deliveries as its peers see it. */
export interface OwnerBeat {
  readonly owner: number;
  /** Counted up by each renewal. */
  readonly beat: number;
}

/** Where the beats of all owners are written. */
export interface LeaseBook {
  /** Renews this receiver's own lease, if it holds anything. */
  renew(): Promise<void>;
  /** The beats of all owners except this receiver. */
  others(): Promise<readonly OwnerBeat[]>;
  /** Restores what this owner held, unless its beat has moved on. */
  bury(dead: OwnerBeat): Promise<void>;
}

interface Observation {
  readonly beat: number;
  /** By the monotonic clock: since when it has been watched without a move. */
  readonly since: number;
}

/** Renews one receiver's lease and watches those of its peers, from {@linkcode start} to {@linkcode stop}. */
export class Lease {
  readonly #clock: Clock;
  readonly #lease: number;
  readonly #interval: number;
  readonly #book: LeaseBook;
  readonly #failed: (error: unknown) => void;
  readonly #watched = new Map<number, Observation>();
  #lastLook = -Infinity;
  #timer: TimerHandle;
  #turn: Promise<void> = Promise.resolve();
  #stopped = false;

  /** `seconds` is the length of a lease; `failed` hears of each turn that the broker did not answer. */
  constructor(clock: Clock, seconds: number, book: LeaseBook, failed: (error: unknown) => void) {
    this.#clock = clock;
    this.#lease = seconds * 1000;
    this.#interval = Math.min(5_000, this.#lease / 3);
    this.#book = book;
    this.#failed = failed;
  }

  /** Begins with a first look at once, so that what dead workers left waits no longer than it must. */
  start(): void {
    this.#turn = this.#run();
  }

  /** Ends the turns; resolves when the last one is over. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#clock.cancel(this.#timer);
    await this.#turn;
  }

  async #run(): Promise<void> {
    let next = this.#interval;
    try {
      await this.#book.renew();
      next = await this.#look();
    } catch (error) {
      // What was not watched without a gap does not count.
      this.#watched.clear();
      if (!this.#stopped) this.#failed(error);
    }
    if (this.#stopped) return;
    this.#timer = this.#clock.after(next, () => {
      this.#turn = this.#run();
    });
  }

  /** Looks at the peers once; tells in how many milliseconds to look again. */
  async #look(): Promise<number> {
    const beats = await this.#book.others();
    const now = this.#clock.monotonic();
    if (now - this.#lastLook > 2 * this.#interval) this.#watched.clear();
    this.#lastLook = now;
    let next = this.#interval;
    const present = new Set<number>();
    for (const dead of beats) {
      present.add(dead.owner);
      const seen = this.#watched.get(dead.owner);
      if (seen?.beat !== dead.beat) {
        this.#watched.set(dead.owner, { beat: dead.beat, since: now });
        continue;
      }
      const left = seen.since + this.#lease - now;
      if (left > 0) {
        next = Math.min(next, left);
        continue;
      }
      this.#watched.delete(dead.owner);
      await this.#book.bury(dead);
      if (this.#stopped) break;
    }
    for (const owner of this.#watched.keys()) if (!present.has(owner)) this.#watched.delete(owner);
    return next;
  }
}
