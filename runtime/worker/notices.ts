/** What a worker says of itself in its log, and what it counts: beside the way of a task. */
import { getLogger } from "@logtape/logtape";
import type { LogReport } from "../isolate/isolate.ts";
import type { ChordPart, EndedPart } from "../protocol/chord.ts";
import type { TaskRequest } from "../protocol/task_message.ts";
import type { ReceiverEvents } from "../transport/transport.ts";
import type { WatchListener } from "./watch.ts";

const log = getLogger(["celeriac", "worker"]);
const taskLog = getLogger(["celeriac", "task"]);

/** How many changed files a line names. */
const SHOWN_FILES = 3;
/** How many tasks a line names. */
const SHOWN_TASKS = 3;

/** How many tasks a worker has seen end, by how they ended. */
export interface WorkerCounts {
  /** Returned. */
  succeeded: number;
  /** Threw, or lost their isolate. */
  failed: number;
  /** Asked to be run again later. */
  retried: number;
  /** Kept as dead letters. */
  dead: number;
  /** Restored from workers that are gone. */
  restored: number;
  /** Revoked: not run, or not to their end. */
  revoked: number;
}

/** Writes one line for each thing that an operator should know, and counts. */
export class Notices {
  readonly counts: WorkerCounts = { succeeded: 0, failed: 0, retried: 0, dead: 0, restored: 0, revoked: 0 };

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
  /** It was said that the results of this worker can't count parts of chords. */
  #saidUncounted = false;
  #saidUnbegun = false;
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

  /** A task is not run, or not to its end. */
  revoked(task: string, id: string, why: "revoked" | "terminated"): void {
    this.counts.revoked++;
    const what = why === "revoked" ? "is discarded: it was revoked" : "was terminated while it ran";
    taskLog.info(`Task ${task}[${id}] ${what}`, { task, id, own: false });
  }

  /** A stop does not wait any longer. */
  graceIsOver(seconds: number, running: number): void {
    if (running === 0) {
      log.warning(
        `The ${seconds} s of grace are over, and what has ended could not be settled, because the broker or the result ` +
          `store is away: it runs again when they are back.`,
      );
      return;
    }
    const which = running === 1 ? "task has" : "tasks have";
    log.warning(`${running} ${which} not ended within the ${seconds} s of grace and run again elsewhere.`);
  }

  /** Revoked tasks can't be kept (and why), or can again (nothing). */
  revokesUnkept(why: string | undefined): void {
    if (why === undefined) log.info("Revoked tasks are kept again.");
    else {
      log.warning(
        `Revoked tasks are known to this worker alone and forgotten when it ends, until this is mended: ${why}`,
      );
    }
  }

  /** A task was ended because it ran longer than it may. */
  overLimit(task: string, id: string, seconds: number): void {
    this.counts.failed++;
    taskLog.error(`Task ${task}[${id}] has exceeded its hard time limit of ${seconds} s`, {
      task,
      id,
      own: false,
    });
  }

  /** What a worker had that died can't be run apart. */
  unguarded(why: string): void {
    log.error(
      `No process can be started for messages whose worker died (${why}): they run as all others do, and one that ends ` +
        `its worker may end this one, too.`,
    );
  }

  isolateDied(reason: string): void {
    log.error(`An isolate died and is replaced: ${reason}`);
  }

  /** Trouble of the worker itself; each is told once, and once more when it is over. */
  readonly trouble: WatchListener = {
    stoodStill: (ms) => {
      if (ms === undefined) return log.info("The worker's main thread has answered in time for a minute.");
      log.warning(
        `The worker's main thread stood still for ${
          (ms / 1000).toFixed(1)
        } s, so that nothing was fetched, settled or ` +
          `renewed: the machine is out of processor time or memory. Give it more, or start fewer isolates (-c).`,
      );
    },
    silent: (silence) => {
      if (silence === undefined) return log.info("All isolates give signs of life again.");
      const { ms, tasks } = silence;
      log.warning(
        `An isolate has given no sign of life for ${Math.round(ms / 1000)} s: ${
          tasks.join(", ")
        } computes without a ` +
          `pause, or never ends. Give it a time limit (timeLimit, --time-limit), or end it: celeriac control revoke ID ` +
          `--terminate`,
        { tasks },
      );
    },
    dying: (count, reason) => {
      if (count === undefined) return log.info("Isolates have not died for a minute.");
      log.error(
        `Isolates die again and again, ${count} of them in the last seconds, and are replaced ever more slowly. The last ` +
          `one: ${reason}. Mend the task, or keep it apart: isolation: "process".`,
      );
    },
    notStarting: (reason) => {
      if (reason === undefined) return log.info("Isolates can be started again.");
      log.error(`An isolate can't be started: ${reason}. Correct the module; it is tried again and again.`);
    },
  };

  /** Changed modules are loaded: which files, what became of the tasks, and how long it took. */
  reloaded(files: readonly string[], tasks: readonly string[], ms: number): void {
    const which = firstOf(files, SHOWN_FILES);
    const what = tasks.length === 0 ? "" : `: ${tasks.join(" ")}`;
    log.info(`reloaded ${which}${what} (${Math.round(ms)} ms)`, { files, tasks });
  }

  /** These should be confined, and are not: that was allowed, but nobody should wonder later. */
  unsandboxed(tasks: readonly { readonly name: string }[]): void {
    if (tasks.length === 0) return;
    const which = firstOf(tasks.map(({ name }) => name), SHOWN_TASKS);
    log.warning(`Not confined, because this runtime can't do that and --allow-unsandboxed is set: ${which}.`);
  }

  /** These may run for longer than the broker waits, and would then run twice. */
  mayBeTakenBack(tasks: readonly string[], seconds: number): void {
    if (tasks.length === 0) return;
    log.warning(
      `The time limit of ${firstOf(tasks, SHOWN_TASKS)} is more than ${
        seconds / 60
      } minutes, after which the broker hands a message out ` +
        `again that is not acknowledged. Raise RabbitMQ's consumer_timeout, or set acksLate: false.`,
    );
  }

  waitsForModules(error: Error): void {
    log.error(`The worker begins when this is mended: ${error.message}`);
  }

  notReloaded(error: unknown): void {
    log.error(
      `The tasks stay as they were until this is mended: ${error instanceof Error ? error.message : error}`,
    );
  }

  errbackUnsent({ task, id }: TaskRequest, error: unknown): void {
    const text = `Task ${task}[${id}] has an error callback that can't be sent: ${String(error)}`;
    taskLog.error(text, { task, id, own: false });
  }

  /** The body of a chord is not called, or what is to be told of that can't be sent. */
  chordFailed({ groupId, body }: EndedPart, text: string): void {
    taskLog.error(text, { task: body.task, id: groupId, own: false });
  }

  /** Parts have ended whose chord was not begun here, or has expired; or nobody here can count them. Each is said once. */
  strangers(parts: readonly ChordPart[], hasStore: boolean): void {
    const which = firstOf([...new Set(parts.map(({ groupId }) => groupId))], SHOWN_TASKS);
    if (hasStore) {
      if (this.#saidUnbegun) return;
      this.#saidUnbegun = true;
      log.warning(
        `Parts of chords ended whose size this result store has not been told, or which have expired: ${which}. Python tells ` +
          `it with the last part. Where nobody does, the bodies are not called: give the client and all workers the same ` +
          `result backend.`,
      );
    } else if (!this.#saidUncounted) {
      this.#saidUncounted = true;
      log.error(
        `The parts of chords can't be counted where results go to their callers, so bodies are not called: ${which}. Set ` +
          `resultBackend to redis://, sqlite: or the like, here and where chords are sent.`,
      );
    }
  }

  /** A line from inside an isolate. */
  task({ level, text, task, id, own }: LogReport): void {
    taskLog[level](text, { task, id, own });
  }
}

/** The first of some names, and how many more there are. */
function firstOf(names: readonly string[], shown: number): string {
  const more = names.length - shown;
  return names.slice(0, shown).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
