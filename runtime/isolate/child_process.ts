/**
 * An isolate in a process of its own: for tasks whose memory is bounded, or whose crash shall harm nobody. Between
 * **dispatch** and **settle**. The process is this program once more, started by a mark; `process_host.ts` is in it.
 *
 * Two processes share no memory, so there is no claim board between them. Jobs are claimed here, on a board of this
 * process alone, at the moment they are handed over: then no more than can start at once are in the child, and what
 * waits is taken back as ever. Into a child in which something runs already the next job goes after a sign of life, so
 * that none waits there behind a task that computes. When the child dies, what was handed over counts as running.
 */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { type Clock, systemClock } from "../clock.ts";
import { ownProgram } from "../platform.ts";
import { ClaimBoard, type Job } from "./claim_board.ts";
import {
  type Death,
  type Isolate,
  type IsolateListener,
  type IsolateSettings,
  REPORT_STRIDE,
} from "./isolate.ts";
import { shownSize } from "./memory_size.ts";
import { OutputLines } from "./output_lines.ts";
import { PortEnd, type PortMessage } from "./port_end.ts";
import { ISOLATE_PROCESS, type ProcessMessage, type ProcessStart } from "./process_messages.ts";
import type { TaskDescription } from "./task_definition.ts";
import type { LimitsOfTask } from "./time_limits.ts";

/** Milliseconds that the last words of a process that has ended may take. */
const LAST_WORDS_MS = 250;
/** What V8 and JavaScriptCore say when they have no memory left. */
const OUT_OF_MEMORY = /out of memory|reached heap limit/i;

/** A child process that runs jobs. */
export class ChildProcessIsolate implements Isolate {
  readonly board = new ClaimBoard();
  readonly #settings: IsolateSettings;
  readonly #listener: IsolateListener;
  readonly #clock: Clock;
  readonly #memoryLimit: number | undefined;
  readonly #end: PortEnd;
  /** Job, text, job, text: not handed over yet. */
  #waiting: (number | string)[] = [];
  /** How many are in the child. */
  #inside = 0;
  #child: ChildProcess | undefined;
  #errors: OutputLines | undefined;
  /** The bytes that were too many. */
  #taken: number | undefined;

  /** `memoryLimit` in bytes. */
  constructor(
    settings: IsolateSettings,
    listener: IsolateListener,
    clock: Clock = systemClock,
    memoryLimit?: number,
  ) {
    this.#settings = settings;
    this.#listener = listener;
    this.#clock = clock;
    this.#memoryLimit = memoryLimit;
    this.#end = new PortEnd(
      listener,
      (answer) => this.#send(answer),
      (reason, how = "ended") => this.#ended(reason, how),
    );
  }

  start(): Promise<readonly TaskDescription[]> {
    const { command, args, env } = ownProgram([ISOLATE_PROCESS], this.#memoryLimit);
    const child = this.#child = spawn(command, args, {
      env,
      // As people see it in lists of processes.
      argv0: process.execPath,
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      serialization: "advanced",
    });
    child.on("message", (message) => this.#hear(message as PortMessage | ProcessMessage));
    // A process that could not be started.
    child.on("error", (error) => this.#lost(error.message, "crashed"));
    const print = (level: "info" | "warning") => (text: string) =>
      this.#listener.log({ level, text, task: "", id: "", own: true });
    new OutputLines(child.stdout!, this.#clock, print("info"));
    this.#errors = new OutputLines(child.stderr!, this.#clock, print("warning"));
    child.on("exit", (code, signal) => {
      const how = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
      const tell = () => this.#exited(how);
      // Not before its last words are read; but what it has started itself may keep its pipes open.
      const patience = this.#clock.after(LAST_WORDS_MS, tell);
      child.on("close", () => {
        this.#clock.cancel(patience);
        tell();
      });
    });
    const start: ProcessStart = { settings: this.#settings, memoryLimit: this.#memoryLimit };
    this.#send(start);
    return this.#end.ready;
  }

  run(jobs: readonly (number | string)[]): void {
    for (const part of jobs) this.#waiting.push(part);
    this.#handOver(false);
  }

  ask(): void {
    this.#send([]);
  }

  setLimits(limits: LimitsOfTask): void {
    this.#send({ kind: "limits", limits });
  }

  terminate(): void {
    this.#end.close();
    this.#waiting = [];
    this.#child?.kill("SIGKILL");
    this.#child = undefined;
  }

  /** Hands over as many as can start now; `isAlive` if the isolate has just said something. */
  #handOver(isAlive: boolean): void {
    let at = 0;
    while (at < this.#waiting.length && this.#inside < this.#settings.slots) {
      // It would wait there, and no other isolate could have it.
      if (this.#inside > 0 && this.board.isExclusive) break;
      if (this.#inside > 0 && !isAlive) {
        this.ask();
        break;
      }
      const job = this.#waiting[at++] as Job, text = this.#waiting[at++];
      if (!this.board.claim(job, this.#clock.now())) continue;
      this.#inside++;
      isAlive = false;
      this.#send([job, text]);
    }
    if (at > 0) this.#waiting.splice(0, at);
  }

  #hear(message: PortMessage | ProcessMessage): void {
    // What was under way when it was ended.
    if (this.#child === undefined) return;
    if (Array.isArray(message)) {
      for (let i = 1; i < message.length; i += REPORT_STRIDE) this.board.done(message[i] as Job);
      this.#inside -= (message.length - 1) / REPORT_STRIDE;
      this.#end.hear(message as PortMessage);
      return this.#handOver(true);
    }
    const said = message as Exclude<PortMessage, readonly unknown[]> | ProcessMessage;
    switch (said.kind) {
      case "board":
        for (let i = 0; i < said.limits.length; i += 2) this.board.limit(said.limits[i], said.limits[i + 1]);
        this.board.setExclusive(said.isExclusive);
        return this.board.measureHeap(said.heap);
      case "full":
        this.#taken = said.bytes;
        return;
      case "failed":
        return this.#lost(said.reason, said.how ?? "ended");
      default:
        return this.#end.hear(said);
    }
  }

  #exited(how: string): void {
    const isFull = this.#taken !== undefined ||
      this.#memoryLimit !== undefined && OUT_OF_MEMORY.test(this.#errors?.tail ?? "");
    if (!isFull) return this.#lost(`its process ${how}`, "crashed");
    const limit = shownSize(this.#memoryLimit!);
    const taken = this.#taken === undefined ? "" : `: ${shownSize(this.#taken)} were taken`;
    this.#lost(`its tasks may take ${limit} of memory${taken}`, "out of memory");
  }

  #lost(reason: string, how: Death): void {
    this.#end.fail(`the isolate failed: ${reason}`);
    this.#ended(reason, how);
  }

  #ended(reason: string, how: Death): void {
    if (this.#child === undefined) return;
    this.terminate();
    this.#listener.died(reason, how);
  }

  #send(message: unknown): void {
    // That it is gone is told by its exit.
    if (this.#child?.connected) this.#child.send(message as never, () => {});
  }
}
