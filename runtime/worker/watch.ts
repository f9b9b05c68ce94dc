/**
 * Sees that a worker is in trouble, and says so once with what to do, and once when it is right again: its main thread
 * stands still, an isolate gives no sign of life, isolates die or can't be started again and again. (A broker that is lost
 * is seen by who talks to it.) Beside the way of a task.
 */
import type { Clock, TimerHandle } from "../clock.ts";

/** Milliseconds between two looks. */
const LOOK_EVERY = 1_000;
/** Milliseconds: a look that is later than this says that the main thread stood still. */
const LATE = 1_000;
/** Milliseconds without a sign of life after which an isolate counts as held up. */
const SILENT = 30_000;
/** So many deaths of isolates within so many milliseconds are too many. */
const DEATHS = { count: 3, within: 10_000 };
/** Milliseconds without trouble after which it is right again. */
const RIGHT_AFTER = 60_000;

/** An isolate that was asked for a sign of life and has given none. */
export interface Silence {
  /** For how many milliseconds. */
  readonly ms: number;
  /** What runs there: names and ids. */
  readonly tasks: readonly string[];
}

/** What is said of trouble: each once, and `undefined` once it is over. */
export interface WatchListener {
  stoodStill(ms: number | undefined): void;
  silent(silence: Silence | undefined): void;
  dying(count: number | undefined, reason: string): void;
  notStarting(reason: string | undefined): void;
}

/** Watches one worker. */
export class Watch {
  readonly #clock: Clock;
  readonly #silences: () => readonly Silence[];
  readonly #listener: WatchListener;
  #timer: TimerHandle;
  #deaths: number[] = [];
  /** When each kind of trouble was last seen, while it is not over. */
  readonly #seen = new Map<"still" | "silent" | "dying" | "starting", number>();

  /** `silences` asks all isolates in which something runs, and tells which have not answered yet. */
  constructor(clock: Clock, silences: () => readonly Silence[], listener: WatchListener) {
    this.#clock = clock;
    this.#silences = silences;
    this.#listener = listener;
  }

  /** Begins to look. */
  start(): void {
    this.#next(this.#clock.monotonic());
  }

  close(): void {
    this.#clock.cancel(this.#timer);
  }

  /** An isolate has died. */
  died(reason: string): void {
    const now = this.#clock.monotonic();
    this.#deaths = this.#deaths.filter((at) => now - at < DEATHS.within);
    this.#deaths.push(now);
    const { length } = this.#deaths;
    if (length >= DEATHS.count && this.#isNew("dying")) this.#listener.dying(length, reason);
  }

  /** An isolate could not be started. */
  startFailed(reason: string): void {
    if (this.#isNew("starting")) this.#listener.notStarting(reason);
  }

  #next(now: number): void {
    const due = now + LOOK_EVERY;
    this.#timer = this.#clock.after(LOOK_EVERY, () => {
      const at = this.#clock.monotonic();
      if (at - due > LATE && this.#isNew("still")) this.#listener.stoodStill(at - due);
      this.#look();
      this.#next(at);
    });
  }

  #look(): void {
    const longest = this.#silences().reduce<Silence | undefined>(
      (longest, silence) => longest === undefined || silence.ms > longest.ms ? silence : longest,
      undefined,
    );
    if (longest !== undefined && longest.ms >= SILENT) {
      if (this.#isNew("silent")) this.#listener.silent(longest);
    } else if (this.#seen.delete("silent")) this.#listener.silent(undefined);
    if (this.#isOver("still")) this.#listener.stoodStill(undefined);
    if (this.#isOver("dying")) this.#listener.dying(undefined, "");
    if (this.#isOver("starting")) this.#listener.notStarting(undefined);
  }

  /** Notes trouble of a kind; whether it was not there before. */
  #isNew(kind: "still" | "silent" | "dying" | "starting"): boolean {
    const isNew = !this.#seen.has(kind);
    this.#seen.set(kind, this.#clock.monotonic());
    return isNew;
  }

  #isOver(kind: "still" | "dying" | "starting"): boolean {
    const at = this.#seen.get(kind);
    return at !== undefined && this.#clock.monotonic() - at >= RIGHT_AFTER && this.#seen.delete(kind);
  }
}
