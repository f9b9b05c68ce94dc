/** In what the tasks of a worker run, a thread or a process of its own: where **dispatch** makes isolates. */
import { ChildProcessIsolate } from "../isolate/child_process.ts";
import { WebWorkerIsolate } from "../isolate/web_worker.ts";
import type { Demand } from "./demand.ts";
import type { IsolateMaker } from "./worker_options.ts";

/** Makes isolates of the kind that is demanded. */
export function isolatesFor({ process, memoryLimit }: Pick<Demand, "process" | "memoryLimit">): IsolateMaker {
  if (!process) return (settings, listener) => new WebWorkerIsolate(settings, listener);
  return (settings, listener, clock) => new ChildProcessIsolate(settings, listener, clock, memoryLimit);
}
