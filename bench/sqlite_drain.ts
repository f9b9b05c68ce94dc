/** One turn of a contestant that empties a queue in an SQLite file: copied, drained, watched, ended. */
import { type Runtime, runtimeNames, startCeleriac } from "./contestants/celeriac.ts";
import { startFloor } from "./contestants/floor.ts";
import { type Drained, watchDrain } from "./drain.ts";
import { rate } from "./figures.ts";
import type { Setting } from "./part.ts";
import { BenchFile, type Synchronous } from "./sqlite_file.ts";

/** Files in which the same number of tasks wait. */
export interface PreparedFiles {
  readonly tasks: number;
  /** For the workers' queue at once. */
  readonly waiting: string;
  /** To be released. */
  readonly held: string;
}

/** Who drains. */
export interface FileDrainer {
  readonly runtime: Runtime;
  readonly synchronous: Synchronous;
  /** Worker processes; 0 is the floor. */
  readonly workers: number;
}

/** As tables name it. */
export function nameOf({ runtime, synchronous, workers }: FileDrainer): string {
  const who = ["floor", "celeriac"][workers] ?? `${workers} workers of celeriac`;
  return `${who}, ${runtimeNames[runtime]}, ${synchronous.toUpperCase()}`;
}

/** Runs the turn. */
export async function drainFile(
  drainer: FileDrainer,
  prepared: PreparedFiles,
  { folder, say, signal }: Setting,
): Promise<Drained> {
  const { runtime, synchronous, workers } = drainer;
  const file = await BenchFile.copy(workers > 1 ? prepared.held : prepared.waiting, folder);
  const url = file.url(synchronous);
  const names = Array.from({ length: workers }, (_, i) => `worker${i}@bench`);
  const programs = workers === 0
    ? [startFloor("sqlite", runtime, url)]
    : names.map((hostname) => startCeleriac(runtime, url, { hostname }));
  // Nobody begins before all are there.
  if (workers > 1) {
    await file.answered(names, signal);
    file.release();
  }
  const drained = await watchDrain({
    settled: () => file.settled(),
    total: prepared.tasks,
    worker: () => programs.reduce((sum, program) => sum + program.usage().cpu, 0),
    server: () => Promise.resolve(0),
    alive: () => programs.every((program) => program.isRunning),
    signal,
  });
  await Promise.all(programs.map((program) => program.kill()));
  await file.delete();
  say(`${nameOf(drainer)}: ${rate(drained.rate)} tasks/s`);
  return drained;
}
