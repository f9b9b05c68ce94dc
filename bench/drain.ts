/**
 * How fast a queue empties, seen from outside: whoever drains, the same eye counts the results that are stored, so no
 * contestant measures itself. The time runs from the first result seen to the last one.
 */

/** Milliseconds between two looks. */
const LOOK_EVERY = 5;

/** A drain that has ended. */
export interface Drained {
  /** Tasks a second. */
  readonly rate: number;
  readonly seconds: number;
  /** Processor time a task, in microseconds: of the worker with all its processes, and of the server. */
  readonly cpu: { readonly worker: number; readonly server: number };
  /** Each look: seconds since the first one, results stored. */
  readonly looks: readonly (readonly [seconds: number, settled: number])[];
}

/** What is watched. */
export interface DrainWatch {
  /** Results stored so far. */
  settled(): Promise<number>;
  /** All that there will be. */
  readonly total: number;
  /** Milliseconds of processor time that the worker has taken so far. */
  worker(): number;
  /** The same of the server. */
  server(): Promise<number>;
  /** Whether the worker still runs. */
  alive(): boolean;
  readonly signal: AbortSignal;
}

/** Watches until all is settled. @throws When the worker ends before, and the signal's reason. */
export async function watchDrain(watch: DrainWatch): Promise<Drained> {
  const { settled, total, worker, server, alive, signal } = watch;
  const looks: [number, number][] = [];
  let began = 0, before = { worker: 0, server: 0 };
  for (;;) {
    signal.throwIfAborted();
    const wasAlive = alive();
    const count = await settled();
    const now = performance.now();
    if (count > 0) {
      if (looks.length === 0) {
        began = now;
        before = { worker: worker(), server: await server() };
      }
      looks.push([(now - began) / 1000, count]);
    }
    if (count >= total) break;
    if (!wasAlive) throw new Error(`the worker ended with ${count} of ${total} tasks settled`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
  }
  const after = { worker: worker(), server: await server() };
  const [seconds, last] = looks[looks.length - 1];
  const done = last - looks[0][1];
  return {
    rate: done / seconds,
    seconds,
    cpu: {
      worker: (after.worker - before.worker) * 1000 / done,
      server: (after.server - before.server) * 1000 / done,
    },
    looks,
  };
}
