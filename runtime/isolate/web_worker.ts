/** An isolate in a Web Worker of this process: the everyday kind. Between **dispatch** and **settle**. */
import { endsBusyThreads } from "../platform.ts";
import { ClaimBoard } from "./claim_board.ts";
import type { Death, Isolate, IsolateListener, IsolateSettings } from "./isolate.ts";
import { PortEnd } from "./port_end.ts";
import type { TaskDescription } from "./task_definition.ts";
import { IsolateThread } from "./thread.ts";
import type { LimitsOfTask } from "./time_limits.ts";

/** A Web Worker that runs jobs. */
export class WebWorkerIsolate implements Isolate {
  readonly board: ClaimBoard;
  readonly mayLinger = !endsBusyThreads;
  readonly #settings: IsolateSettings;
  readonly #listener: IsolateListener;
  readonly #end: PortEnd;
  #thread: IsolateThread | undefined;

  constructor(settings: IsolateSettings, listener: IsolateListener) {
    this.#settings = settings;
    this.#listener = listener;
    this.board = new ClaimBoard();
    this.#end = new PortEnd(
      listener,
      (answer) => this.#thread?.post(answer),
      (reason, how) => this.#ended(reason, how),
    );
  }

  start(): Promise<readonly TaskDescription[]> {
    this.#thread = new IsolateThread(this.#settings, this.board, {
      hear: (message) => {
        if ("kind" in message && message.kind === "log") this.board.logLineWritten();
        this.#end.hear(message);
      },
      failed: (reason) => {
        this.#end.fail(`the isolate failed: ${reason}`);
        this.#ended(reason);
      },
    });
    return this.#end.ready;
  }

  run(jobs: readonly (number | string)[]): void {
    this.#thread?.post(jobs);
  }

  ask(): void {
    this.#thread?.post([]);
  }

  setLimits(limits: LimitsOfTask): void {
    this.#thread?.post({ kind: "limits", limits });
  }

  terminate(): void {
    const thread = this.#thread;
    this.#thread = undefined;
    this.#end.close();
    thread?.terminate();
  }

  #ended(reason: string, how?: Death): void {
    if (this.#thread === undefined) return;
    this.terminate();
    this.#listener.died(reason, how);
  }
}
