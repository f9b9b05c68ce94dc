/**
 * The ids of timers: text that can be stored anywhere and that says where the timer is. It is also the id of the task that
 * a timer becomes when it is due, so that its result can be asked for.
 */

/** A timer in a worker's hub, by the hub's own id and the timer's number there; or one that its broker keeps. */
export type TimerPlace =
  | { readonly kind: "memory"; readonly hub: string; readonly number: number }
  /** `due` in milliseconds since 1970. */
  | { readonly kind: "durable"; readonly due: number };

/** Numbers of one end of the hub. There may be 2^29 ends: isolates come and go, and get a new one before this is used up. */
export const PER_END = 2 ** 24;

/** The number of a timer: the end of the hub that it was set through, and how many were set there before. */
export function timerNumber(end: number, count: number): number {
  return end * PER_END + count;
}

/** The id of a timer in memory. */
export function timerId(hub: string, number: number): string {
  return `timer-${hub}-${Math.floor(number / PER_END)}-${number % PER_END}`;
}

/** The id of a timer that its broker keeps; `unique` is nobody else's. */
export function durableTimerId(due: number, unique: string): string {
  return `durable-timer-${Math.round(due)}-${unique}`;
}

/** Where the timer of that id is, or undefined where it is no id of a timer. */
export function readTimerId(id: string): TimerPlace | undefined {
  const memory = /^timer-([0-9a-f-]{36})-(\d{1,9})-(\d{1,8})$/.exec(id);
  if (memory !== null) {
    return { kind: "memory", hub: memory[1], number: timerNumber(Number(memory[2]), Number(memory[3])) };
  }
  const durable = /^durable-timer-(\d{1,16})-[0-9a-f-]{36}$/.exec(id);
  return durable === null ? undefined : { kind: "durable", due: Number(durable[1]) };
}
