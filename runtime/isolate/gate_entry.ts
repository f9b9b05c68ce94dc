/**
 * The gate of a confined isolate, on Deno: a Web Worker that may read the sources of the task modules beside what they
 * demand, and starts the isolate, which may not. Deno checks what an isolate imports against its parent, some of it even
 * where the code says at run time what to import; with this parent that leads to the sources and to nothing else. No code
 * of tasks runs in here. Around **run**.
 */
import { startWebWorker } from "../platform.ts";
import type { StartMessage } from "./inside.ts";
import type { Permissions } from "./permissions.ts";

/** From the thread that wants the isolate, once. */
export interface GateMessage {
  /** The first module of the isolate. */
  readonly entry: string;
  readonly permissions: Permissions;
  readonly start: StartMessage;
}

const gate = globalThis as unknown as {
  onmessage: (event: MessageEvent<GateMessage>) => void;
  postMessage(failure: string): void;
};

gate.onmessage = ({ data: { entry, permissions, start } }) => {
  const isolate = startWebWorker(new URL(entry), "celeriac isolate", permissions);
  isolate.onerror = (event: ErrorEvent) => {
    event.preventDefault();
    gate.postMessage(event.message);
  };
  isolate.postMessage(start, [start.port, start.hub]);
};
