/** An isolate in a Web Worker of this process: the everyday kind. Between **dispatch** and **settle**. */
import type { Clock } from "../clock.ts";
import { programFile, startWebWorker } from "../platform.ts";
import { ClaimBoard } from "./claim_board.ts";
import type { StartMessage } from "./inside.ts";
import type { Isolate, IsolateListener, IsolateSettings } from "./isolate.ts";
import { PortEnd, type PortMessage } from "./port_end.ts";
import type { TaskDescription } from "./task_definition.ts";

/** A Web Worker that runs jobs. */
export class WebWorkerIsolate implements Isolate {
  readonly board: ClaimBoard;
  readonly #settings: IsolateSettings;
  readonly #listener: IsolateListener;
  readonly #end: PortEnd;
  #worker: Worker | undefined;
  #port: MessagePort | undefined;

  constructor(settings: IsolateSettings, listener: IsolateListener, clock: Clock) {
    this.#settings = settings;
    this.#listener = listener;
    this.board = new ClaimBoard(undefined, clock.now());
    this.#end = new PortEnd(
      listener,
      (answer) => this.#port?.postMessage(answer),
      (reason) => this.#ended(reason),
    );
  }

  start(): Promise<readonly TaskDescription[]> {
    const worker = startWebWorker(programFile("isolate/web_worker_entry"), "celeriac isolate");
    const { port1, port2 } = new MessageChannel();
    this.#worker = worker;
    this.#port = port1;
    port1.onmessage = ({ data }: MessageEvent<PortMessage>) => {
      if ("kind" in data && data.kind === "log") this.board.logLineWritten();
      this.#end.hear(data);
    };
    // What the isolate could not catch itself. On Deno an error that nobody prevents here would end the process.
    worker.onerror = (event: ErrorEvent) => {
      event.preventDefault();
      this.#end.fail(`the isolate failed: ${event.message}`);
      this.#ended(event.message);
    };
    // Bun tells of an end in this way; the other runtimes never send it.
    worker.addEventListener("close", () => {
      if (this.#worker === worker) this.#ended("it ended");
    });
    const start: StartMessage = { settings: this.#settings, board: this.board.memory, port: port2 };
    worker.postMessage(start, [port2]);
    return this.#end.ready;
  }

  run(jobs: readonly (number | string)[]): void {
    this.#port?.postMessage(jobs);
  }

  ask(): void {
    this.#port?.postMessage([]);
  }

  terminate(): void {
    this.#end.close();
    this.#port?.close();
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#port = undefined;
  }

  #ended(reason: string): void {
    if (this.#worker === undefined) return;
    this.terminate();
    this.#listener.died(reason);
  }
}
