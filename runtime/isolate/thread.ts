/** The thread that an isolate is, as who started it sees it: a Web Worker with a port to speak through. Around **run**. */
import { programFile, startWebWorker } from "../platform.ts";
import type { ClaimBoard } from "./claim_board.ts";
import type { StartMessage } from "./inside.ts";
import type { IsolateSettings } from "./isolate.ts";
import type { PortMessage } from "./port_end.ts";

/** Hears a thread. */
export interface ThreadListener {
  hear(message: PortMessage): void;
  /** It has ended by itself, and could not say so. */
  failed(reason: string): void;
}

/** A Web Worker that loads task modules and runs what it is handed. */
export class IsolateThread {
  readonly #worker: Worker;
  readonly #port: MessagePort;

  /** Starts it. `board` is where it claims its jobs. */
  constructor(settings: IsolateSettings, board: ClaimBoard, listener: ThreadListener) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    port1.onmessage = ({ data }: MessageEvent<PortMessage>) => {
      if ("kind" in data && data.kind === "log") board.logLineWritten();
      listener.hear(data);
    };
    this.#worker = startWebWorker(programFile("isolate/web_worker_entry"), "celeriac isolate");
    // What the isolate could not catch itself. On Deno an error that nobody prevents here would end the process.
    this.#worker.onerror = (event: ErrorEvent) => {
      event.preventDefault();
      listener.failed(event.message);
    };
    // Bun tells of an end in this way; the other runtimes never send it.
    this.#worker.addEventListener("close", () => listener.failed("it ended"));
    const start: StartMessage = { settings, board: board.memory, port: port2 };
    this.#worker.postMessage(start, [port2]);
  }

  /** To the isolate: jobs, or anything else that it listens to. */
  post(message: unknown): void {
    this.#port.postMessage(message);
  }

  terminate(): void {
    this.#port.close();
    this.#worker.terminate();
  }
}
