/**
 * The timer hub: all timers that tasks of one worker have set, in the main thread, where no task holds them up. It never
 * runs a callback: it hands out what is due, and what is handed out is **published** as a task. One timer of the clock is
 * armed at a time.
 */
import type { Clock, TimerHandle } from "../clock.ts";
import { type HeldTimer, TimerHeap } from "./timer_heap.ts";

/** By the wall clock timers are looked at so often, for it may be set. */
const LOOK_MS = 1_000;
/** A timer of the clock takes no more than 2^31 ms. */
const LONGEST_MS = 86_400_000;
/** So many are handed out in one go; whatever else is to be done is done before the next. */
const AT_ONCE = 2_000;

/** A timer to be set. */
export interface TimerToSet {
  /** Nobody else's, see {@linkcode timerNumber}. */
  readonly number: number;
  /** When it is due, in ms, by the clock that it goes by. */
  readonly due: number;
  /** Milliseconds from one time to the next, 0 for a timer that is due once. */
  readonly every: number;
  /** Whether `due` is a time of the day (ms since 1970, which may be set), not one of {@linkcode Clock.monotonic}. */
  readonly isWallTime: boolean;
  /** What is handed out. */
  readonly text: string;
}

/** A timer that waits. */
export interface WaitingTimer {
  readonly number: number;
  /** Milliseconds since 1970. */
  readonly due: number;
  /** Milliseconds, 0 for once. */
  readonly every: number;
  readonly text: string;
}

/** Takes what is due: the number of a timer, how often it has been due (1 at first), its text, how late it is in ms. */
export type TakeDue = (number: number, occurrence: number, text: string, late: number) => void;

/** What is known of a timer that is due again and again. */
interface Repeat {
  readonly every: number;
  occurrence: number;
}

/** The timers of one worker. */
export class Hub {
  readonly #clock: Clock;
  readonly #take: TakeDue;
  /** Those that wait for a while to pass, and those that wait for a time of the day. */
  readonly #elapsing = new TimerHeap();
  readonly #wall = new TimerHeap();
  readonly #repeats = new Map<number, Repeat>();
  #armed: TimerHandle | undefined;
  /** For when it is armed, by the monotonic clock. */
  #armedFor = Infinity;
  #isClosed = false;

  /** `take` must not throw. */
  constructor(clock: Clock, take: TakeDue) {
    this.#clock = clock;
    this.#take = take;
  }

  /** How many timers wait. */
  get size(): number {
    return this.#elapsing.size + this.#wall.size;
  }

  /** Sets a timer. */
  set({ number, due, every, isWallTime, text }: TimerToSet): void {
    const heap = isWallTime ? this.#wall : this.#elapsing;
    heap.add(number, due, text);
    if (every > 0) this.#repeats.set(number, { every, occurrence: 1 });
    if (heap.next === due) this.#arm();
  }

  /** Takes a timer back; false if it is not there: it was due, or was cancelled, or never set. */
  cancel(number: number): boolean {
    if (this.#repeats.size > 0) this.#repeats.delete(number);
    return this.#elapsing.remove(number) || this.#wall.remove(number);
  }

  /** The first `limit` timers in the order in which they are due. */
  first(limit: number): WaitingTimer[] {
    const ahead = this.#clock.now() - this.#clock.monotonic();
    const waiting = ({ number, due, text }: HeldTimer, ahead: number): WaitingTimer => {
      return { number, due: due + ahead, text, every: this.#repeats.get(number)?.every ?? 0 };
    };
    return [
      ...this.#elapsing.first(limit).map((timer) => waiting(timer, ahead)),
      ...this.#wall.first(limit).map((timer) => waiting(timer, 0)),
    ].sort((a, b) => a.due - b.due || a.number - b.number).slice(0, limit);
  }

  /** Hands out what is due by now, in place of its armed timer: for who holds up the thread. */
  handOutDue(): void {
    if (this.#armedFor <= this.#clock.monotonic()) this.#ring();
  }

  /** Hands out nothing any more. */
  close(): void {
    this.#isClosed = true;
    this.#disarm();
  }

  #arm(): void {
    if (this.#isClosed) return;
    const now = this.#clock.monotonic();
    const wall = this.#wall.size === 0 ? Infinity : Math.min(LOOK_MS, this.#wall.next - this.#clock.now());
    const wait = Math.max(0, Math.min(this.#elapsing.next - now, wall));
    if (wait === Infinity) return this.#disarm();
    const at = now + Math.min(wait, LONGEST_MS);
    // It is early enough as it is: when it comes, it sees what is next.
    if (this.#armed !== undefined && this.#armedFor <= at) return;
    this.#disarm();
    this.#armedFor = at;
    // Clocks count whole milliseconds, and one that is early would only be armed again.
    this.#armed = this.#clock.after(Math.ceil(at - now), () => this.#ring());
  }

  #disarm(): void {
    if (this.#armed !== undefined) this.#clock.cancel(this.#armed);
    this.#armed = undefined;
    this.#armedFor = Infinity;
  }

  #ring(): void {
    this.#disarm();
    const now = this.#clock.monotonic();
    this.#elapsing.take(now, AT_ONCE, (number, due, text) => this.#handOut(number, text, now, due));
    if (this.#wall.size > 0) {
      const time = this.#clock.now();
      this.#wall.take(time, AT_ONCE, (number, due, text) => this.#take(number, 1, text, time - due));
    }
    this.#arm();
  }

  #handOut(number: number, text: string, now: number, due: number): void {
    const repeat = this.#repeats.size === 0 ? undefined : this.#repeats.get(number);
    const occurrence = repeat?.occurrence ?? 1;
    if (repeat !== undefined) {
      // Times that have gone by unseen, while the machine slept, are left out.
      const next = due + repeat.every * (Math.floor((now - due) / repeat.every) + 1);
      repeat.occurrence++;
      this.#elapsing.add(number, next > now ? next : now + repeat.every, text);
    }
    this.#take(number, occurrence, text, now - due);
  }
}
