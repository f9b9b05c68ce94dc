/** What a worker says of itself in its log, and what it counts: beside the way of a task. */
import { getLogger } from "@logtape/logtape";
import type { LogReport } from "../isolate/isolate.ts";
import type { ReceiverEvents } from "../transport/transport.ts";

const log = getLogger(["celeriac", "worker"]);
const taskLog = getLogger(["celeriac", "task"]);

/** How many changed files a line names. */
const SHOWN_FILES = 3;

/** How many tasks a worker has seen end, by how they ended. */
export interface WorkerCounts {
  /** Returned. */
  succeeded: number;
  /** Threw, or lost their isolate. */
  failed: number;
  /** Kept as dead letters. */
  dead: number;
  /** Restored from workers that are gone. */
  restored: number;
}

/** Writes one line for each thing that an operator should know, and counts. */
export class Notices {
  readonly counts: WorkerCounts = { succeeded: 0, failed: 0, dead: 0, restored: 0 };

  /** What a receiver has to tell. */
  readonly receiver: ReceiverEvents = {
    lost: (deliveries) =>
      log.warning(
        `${deliveries.length} messages are not this worker's any more, because it was cut off from its broker or ` +
          `did not renew its lease in time; their tasks run again.`,
      ),
    dead: (queue, reason) => this.dead(queue, undefined, reason),
    restored: (count) => {
      this.counts.restored += count;
      log.info(`Restored ${count} messages that a worker which is gone had held.`);
    },
    trouble: (message) => log.warning(message),
    away: (broker, why) => this.#away("receiver", broker, why),
  };
  /** Who of those that use the broker finds it away. */
  readonly #missing = new Set<"receiver" | "exchange">();

  /** A message is kept and not run. */
  dead(queue: string, id: string | undefined, reason: string): void {
    this.counts.dead++;
    const which = id ? `${id} ` : "";
    log.error(`Message ${which}of queue ${queue} is now a dead letter: ${reason}`, { queue, id, reason });
  }

  /** The broker was lost, or is back (no error). */
  broker(name: string, error: unknown | undefined): void {
    const why = error instanceof Error ? error.message : String(error);
    const begin = `${name}: `;
    const rest = why.startsWith(begin) ? why.slice(begin.length) : why;
    this.#away("exchange", name, error === undefined ? undefined : rest);
  }

  #away(user: "receiver" | "exchange", name: string, why: string | undefined): void {
    const was = this.#missing.size > 0;
    if (why !== undefined) this.#missing.add(user);
    else this.#missing.delete(user);
    const is = this.#missing.size > 0;
    if (is && !was) log.error(`Lost ${name}, trying again until it is back: ${why}`);
    if (was && !is) log.info(`Connected to ${name} again.`);
  }

  isolateDied(reason: string): void {
    log.error(`An isolate died and is replaced: ${reason}`);
  }

  restartFailed(reason: string, pause: number): void {
    log.error(
      `An isolate can't be started again: ${reason}. Correct the module; the next try is in ${pause} ms.`,
    );
  }

  /** Changed modules are loaded: which files, what became of the tasks, and how long it took. */
  reloaded(files: readonly string[], tasks: readonly string[], ms: number): void {
    const more = files.length - SHOWN_FILES;
    const which = files.slice(0, SHOWN_FILES).join(", ") + (more > 0 ? ` and ${more} more` : "");
    const what = tasks.length === 0 ? "" : `: ${tasks.join(" ")}`;
    log.info(`reloaded ${which}${what} (${Math.round(ms)} ms)`, { files, tasks });
  }

  waitsForModules(error: Error): void {
    log.error(`The worker begins when this is mended: ${error.message}`);
  }

  notReloaded(error: unknown): void {
    log.error(
      `The tasks stay as they were until this is mended: ${error instanceof Error ? error.message : error}`,
    );
  }

  /** A line from inside an isolate. */
  task({ level, text, task, id, own }: LogReport): void {
    taskLog[level](text, { task, id, own });
  }
}
