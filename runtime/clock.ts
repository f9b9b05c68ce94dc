/**
 * Time, as everything that waits is given it. Production code takes {@linkcode systemClock}; tests hand in a
 * clock that they turn themselves, so that no test waits for wall time.
 */
export interface Clock {
  /** Milliseconds since 1970, for what is written down (ETAs, expiry, `date_done`). May jump. */
  now(): number;
  /** Milliseconds from an arbitrary start, never backwards, for what is measured (leases, timeouts). */
  monotonic(): number;
  /** Calls `run` once after `ms` milliseconds; the handle is for {@linkcode Clock.cancel}. */
  after(ms: number, run: () => void): TimerHandle;
  /** Takes a call of {@linkcode Clock.after} back; harmless when it has happened already. */
  cancel(handle: TimerHandle): void;
}

/** What {@linkcode Clock.after} returns; only the clock that made it can read it. */
export type TimerHandle = unknown;

// Taken at once: code of tasks may put other things in their place, which would stop whoever counts on them.
const { setTimeout, clearTimeout } = globalThis;
const { now } = Date;
const monotonic = performance.now.bind(performance);

/** The machine's own time. */
export const systemClock: Clock = {
  now,
  monotonic,
  after: (ms, run) => setTimeout(run, ms),
  cancel: (handle) => clearTimeout(handle as ReturnType<typeof setTimeout>),
};

/** Waits `ms` milliseconds of `clock`, or rejects with the signal's reason as soon as it aborts. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clock.cancel(handle);
      reject(signal?.reason);
    };
    const handle = clock.after(ms, () => {
      signal?.removeEventListener("abort", stop);
      resolve();
    });
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Settles as `waited` does, or rejects with the signal's reason as soon as it aborts. */
export function orAborted<T>(waited: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (signal === undefined) return waited;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    waited.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
