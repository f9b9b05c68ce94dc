/**
 * The inside of an isolate that is a child process: its main thread, which hosts one ordinary isolate and passes on what
 * that and the worker say to each other. Around **run**. It never runs code of tasks, so it can watch their memory while
 * they compute, and end with its worker whatever they do.
 */
import process from "node:process";
import { GARBAGE_ALLOWANCE, onSignal } from "../platform.ts";
import { ClaimBoard, type Job } from "./claim_board.ts";
import { HELD_UP, REPORT_STRIDE, UNANSWERED_LOOKS } from "./isolate.ts";
import type { PortMessage } from "./port_end.ts";
import type { ProcessMessage, ProcessStart } from "./process_messages.ts";
import { IsolateThread } from "./thread.ts";

/** Milliseconds between two looks at memory and claim board while something runs. */
const LOOK_EVERY_MS = 10;

/** Milliseconds between two looks at whether the worker is there. */
const LOOK_FOR_WORKER_MS = 500;

/** Serves the worker that has started this process, until it is gone. */
export function hostIsolate(): void {
  if (process.send === undefined) {
    throw new Error(
      "this is started by a worker, for tasks in a process of their own; it can't be started by hand",
    );
  }
  // What a terminal or a service manager sends to all processes is for the worker to hear: it ends this one in time.
  for (const name of ["SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP"] as const) onSignal(name, () => {});
  process.on("disconnect", end);
  // Deno tells of no end of the channel when the worker died with words of this process unread.
  const worker = process.ppid;
  setInterval(() => process.ppid === worker || end(), LOOK_FOR_WORKER_MS);
  process.once("message", (start) => void new Host(start as ProcessStart));
}

/** At once, however busy the isolate is. */
function end(): void {
  process.kill(process.pid, "SIGKILL");
}

class Host {
  readonly #board = new ClaimBoard();
  readonly #thread: IsolateThread;
  readonly #memoryLimit: number;
  /** In the isolate, and whether the worker knows how long it may run. */
  readonly #jobs = new Map<Job, boolean>();
  #heap = 0;
  #isExclusive = false;
  /** Looks in a row at which jobs waited, and none ran or was reported. */
  #heldUp = 0;
  /** Bytes of the process that no task has taken. */
  #own = Infinity;
  #looking: ReturnType<typeof setTimeout> | undefined;

  constructor({ settings, memoryLimit = Infinity }: ProcessStart) {
    this.#memoryLimit = memoryLimit;
    this.#thread = new IsolateThread({ ...settings, pid: process.pid }, this.#board, {
      hear: (message) => this.#hear(message),
      failed: (reason) => send({ kind: "failed", reason }),
    });
    process.on("message", (message) => this.#pass(message));
  }

  /** To the isolate. */
  #pass(message: unknown): void {
    if (Array.isArray(message)) {
      for (let i = 0; i < message.length; i += 2) {
        this.#board.offer(message[i]);
        this.#jobs.set(message[i], false);
      }
      this.#looking ??= setTimeout(() => this.#look(), LOOK_EVERY_MS);
    }
    this.#thread.post(message);
  }

  /** From the isolate. */
  #hear(message: PortMessage): void {
    if (Array.isArray(message)) {
      this.#heldUp = 0;
      for (let i = 1; i < message.length; i += REPORT_STRIDE) this.#jobs.delete(message[i] as Job);
      // Before the report, at which the worker looks at whether there is room.
      if (this.#board.isExclusive !== this.#isExclusive) this.#tellOfBoard();
      return send(message);
    }
    const { kind } = message as Exclude<PortMessage, readonly unknown[]>;
    if (kind === "ready") this.#own = process.memoryUsage.rss();
    if (kind === "log") send(message, () => this.#board.logLineWritten());
    else send(message);
  }

  /** What the worker would see on the board, if it could. */
  #tellOfBoard(): void {
    const limits: number[] = [];
    for (const [job, isKnown] of this.#jobs) {
      const limit = isKnown ? 0 : this.#board.limitOf(job);
      if (limit === 0) continue;
      limits.push(job, limit);
      this.#jobs.set(job, true);
    }
    const { heap, isExclusive } = this.#board;
    if (limits.length === 0 && heap === this.#heap && isExclusive === this.#isExclusive) return;
    this.#heap = heap;
    this.#isExclusive = isExclusive;
    send({ kind: "board", limits, heap, isExclusive });
  }

  #look(): void {
    this.#looking = undefined;
    this.#tellOfBoard();
    if (this.#memoryLimit < Infinity) {
      const bytes = process.memoryUsage.rss() - this.#own;
      if (bytes > this.#memoryLimit + GARBAGE_ALLOWANCE) return send({ kind: "full", bytes }, end);
    }
    const waits = [...this.#jobs.keys()].every((job) => this.#board.state(job) === "waiting");
    this.#heldUp = waits && this.#jobs.size > 0 ? this.#heldUp + 1 : 0;
    if (this.#heldUp * LOOK_EVERY_MS >= UNANSWERED_LOOKS * 1000) {
      return send({ kind: "failed", reason: HELD_UP, how: "left behind" });
    }
    if (this.#jobs.size > 0) this.#looking = setTimeout(() => this.#look(), LOOK_EVERY_MS);
  }
}

function send(message: PortMessage | ProcessMessage, sent: () => void = () => {}): void {
  // A worker that is gone is told of by the end of the channel.
  process.send?.(message, undefined, undefined, sent);
}
