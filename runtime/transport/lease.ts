/**
 * The lease under which a receiver holds its deliveries, where a broker has no clock of its own (memory, SQLite):
 * on a task's way, what stands between receive and settle when a worker dies. A worker's beat is counted up while it
 * lives. Its peers restore what it held once they have themselves watched the beat stand still for a full lease, by
 * a monotonic clock and while the broker answered them: a paused broker, a machine that wakes up or a clock that was
 * set make nobody look dead.
 */
import type { Clock, TimerHandle } from "../clock.ts";

/** One owner of what is leased, as its peers see it. */
export interface OwnerBeat<Owner = number> {
  readonly owner: Owner;
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

/**
 * Finds out which owners are dead: those whose beat it has itself watched standing still for a full lease, with a look at
 * least every second interval.
 */
export class OwnerWatch<Owner> {
  readonly #lease: number;
  readonly #interval: number;
  readonly #watched = new Map<Owner, Observation>();
  #lastLook = -Infinity;

  /** Both in milliseconds. */
  constructor(lease: number, interval: number) {
    this.#lease = lease;
    this.#interval = interval;
  }

  /** Looks at all others, `now` by the monotonic clock; `again` is in how many milliseconds to do so next. */
  look(beats: readonly OwnerBeat<Owner>[], now: number): { dead: OwnerBeat<Owner>[]; again: number } {
    if (now - this.#lastLook > 2 * this.#interval) this.#watched.clear();
    this.#lastLook = now;
    let again = this.#interval;
    const dead: OwnerBeat<Owner>[] = [];
    const present = new Set<Owner>();
    for (const each of beats) {
      present.add(each.owner);
      const seen = this.#watched.get(each.owner);
      if (seen?.beat !== each.beat) {
        this.#watched.set(each.owner, { beat: each.beat, since: now });
        continue;
      }
      const left = seen.since + this.#lease - now;
      if (left > 0) {
        again = Math.min(again, left);
        continue;
      }
      this.#watched.delete(each.owner);
      dead.push(each);
    }
    for (const owner of this.#watched.keys()) if (!present.has(owner)) this.#watched.delete(owner);
    return { dead, again };
  }

  /** What was seen so far does not count: there was a gap. */
  forget(): void {
    this.#watched.clear();
  }
}

/** Renews one receiver's lease and watches those of its peers, from {@linkcode start} to {@linkcode stop}. */
export class Lease {
  readonly #clock: Clock;
  readonly #interval: number;
  readonly #book: LeaseBook;
  readonly #failed: (error: unknown) => void;
  readonly #watch: OwnerWatch<number>;
  #timer: TimerHandle;
  #turn: Promise<void> = Promise.resolve();
  #stopped = false;

  /** `seconds` is the length of a lease; `failed` hears of each turn that the broker did not answer. */
  constructor(clock: Clock, seconds: number, book: LeaseBook, failed: (error: unknown) => void) {
    this.#clock = clock;
    const lease = seconds * 1000;
    this.#interval = Math.min(5_000, lease / 3);
    this.#watch = new OwnerWatch(lease, this.#interval);
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
      this.#watch.forget();
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
    const { dead, again } = this.#watch.look(beats, this.#clock.monotonic());
    for (const each of dead) {
      await this.#book.bury(each);
      if (this.#stopped) break;
    }
    return again;
  }
}
