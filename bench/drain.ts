/**
 * How fast a queue empties, seen from outside: whoever drains, the same eye counts the results that are stored, so no
 * contestant measures itself. The time runs from the first result seen to the last one.
 */
import type { Usage } from "./process.ts";

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
  worker(): Usage;
  /** Milliseconds of processor time that the server has taken so far. */
  server(): Promise<number>;
}

/** Watches until all is settled. */
export async function watchDrain({ settled, total, worker, server }: DrainWatch): Promise<Drained> {
  const looks: [number, number][] = [];
  let began = 0, before = { worker: 0, server: 0 };
  for (;;) {
    const count = await settled();
    const now = performance.now();
    if (count > 0) {
      if (looks.length === 0) {
        began = now;
        before = { worker: worker().cpu, server: await server() };
      }
      looks.push([(now - began) / 1000, count]);
    }
    if (count >= total) break;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
  }
  const after = { worker: worker().cpu, server: await server() };
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
