/** An isolate in a Web Worker of this process: the everyday kind. Between **dispatch** and **settle**. */
import type { Clock } from "../clock.ts";
import type { RelayEnd } from "../channel/relay.ts";
import { programFile, startWebWorker } from "../platform.ts";
import { ClaimBoard } from "./claim_board.ts";
import type { InsideMessage, StartMessage } from "./inside.ts";
import type { Isolate, IsolateListener, IsolateSettings } from "./isolate.ts";
import { TaskModuleError } from "./load_modules.ts";
import type { TaskDescription } from "./task_definition.ts";

/** A Web Worker that runs jobs. */
export class WebWorkerIsolate implements Isolate {
  readonly board: ClaimBoard;
  readonly #settings: IsolateSettings;
  readonly #listener: IsolateListener;
  #worker: Worker | undefined;
  #port: MessagePort | undefined;
  #relay: RelayEnd | undefined;

  constructor(settings: IsolateSettings, listener: IsolateListener, clock: Clock) {
    this.#settings = settings;
    this.#listener = listener;
    this.board = new ClaimBoard(undefined, clock.now());
  }

  start(): Promise<readonly TaskDescription[]> {
    const worker = startWebWorker(programFile("isolate/web_worker_entry"), "celeriac isolate");
    const { port1, port2 } = new MessageChannel();
    this.#worker = worker;
    this.#port = port1;
    return new Promise((resolve, reject) => {
      port1.onmessage = (event: MessageEvent<InsideMessage | [number, ...(number | string)[]]>) => {
        const message = event.data;
        if (Array.isArray(message)) {
          const busy = message[0];
          this.#listener.finished(message.slice(1), busy);
          return;
        }
        switch (message.kind) {
          case "ready":
            return resolve(message.tasks);
          case "unusable":
            return reject(new TaskModuleError(message.reason));
          case "state":
            return this.#listener.state(message.state);
          case "relay":
            this.#relay ??= this.#listener.relay((answer) => this.#port?.postMessage(answer));
            return this.#relay.hear(message.request);
          case "log":
            this.board.logLineWritten();
            return this.#listener.log(message.line);
          case "died":
            reject(
              new TaskModuleError(`the task modules ended their isolate while loading: ${message.reason}`),
            );
            return this.#end(message.reason);
        }
      };
      // What the isolate could not catch itself. On Deno an error that nobody prevents here would end the process.
      worker.onerror = (event: ErrorEvent) => {
        event.preventDefault();
        reject(new TaskModuleError(`the isolate failed: ${event.message}`));
        this.#end(event.message);
      };
      // Bun tells of an end in this way; the other runtimes never send it.
      worker.addEventListener("close", () => {
        if (this.#worker === worker) this.#end("it ended");
      });
      const start: StartMessage = { settings: this.#settings, board: this.board.memory, port: port2 };
      worker.postMessage(start, [port2]);
    });
  }

  run(jobs: readonly (number | string)[]): void {
    this.#port?.postMessage(jobs);
  }

  ask(): void {
    this.#port?.postMessage([]);
  }

  terminate(): void {
    this.#relay?.close();
    this.#port?.close();
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#port = undefined;
  }

  #end(reason: string): void {
    if (this.#worker === undefined) return;
    this.terminate();
    this.#listener.died(reason);
  }
}
