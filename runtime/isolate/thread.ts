/** The thread that an isolate is, as who started it sees it: a Web Worker with a port to speak through. Around **run**. */
import type { HubRequest } from "../hub/port.ts";
import { programFile, startWebWorker } from "../platform.ts";
import type { ClaimBoard } from "./claim_board.ts";
import type { GateMessage } from "./gate_entry.ts";
import type { StartMessage } from "./inside.ts";
import type { IsolateSettings } from "./isolate.ts";
import type { ModuleFile } from "./load_modules.ts";
import { withSources } from "./permissions.ts";
import type { HubMessage, PortMessage } from "./port_end.ts";

/** Hears a thread. */
export interface ThreadListener {
  /** Tells the board of each log line once that is on. */
  hear(message: PortMessage): void;
  /** It has ended by itself, and could not say so. */
  failed(reason: string): void;
}

/** A Web Worker that loads task modules and runs what it is handed. */
export class IsolateThread {
  readonly #worker: Worker;
  readonly #port: MessagePort;
  /** To the timer hub. */
  readonly #hub: MessagePort;

  /** Starts it. `board` is where it claims its jobs. */
  constructor(settings: IsolateSettings, board: ClaimBoard, listener: ThreadListener) {
    const { confinement } = settings;
    const seal = confinement === undefined ? undefined : newSeal();
    const hear = <Message>(say: (message: Message) => void) => sealed(say, seal, () => listener.hear(FORGED));
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    port1.onmessage = hear((message: PortMessage) => listener.hear(message));
    const hub = new MessageChannel();
    this.#hub = hub.port1;
    hub.port1.onmessage = hear((request: HubRequest) => listener.hear({ kind: "hub", request }));
    this.#worker = confinement === undefined
      ? startWebWorker(programFile("isolate/web_worker_entry"), "celeriac isolate")
      : startWebWorker(programFile("isolate/gate_entry"), "celeriac gate", withSources(confinement));
    // What the isolate could not catch itself. On Deno an error that nobody prevents here would end the process.
    this.#worker.onerror = (event: ErrorEvent) => {
      event.preventDefault();
      listener.failed(event.message);
    };
    // Bun tells of an end in this way; the other runtimes never send it.
    this.#worker.addEventListener("close", () => listener.failed("it ended"));
    if (confinement !== undefined) {
      // From the gate: its isolate has failed.
      this.#worker.onmessage = ({ data }: MessageEvent<string>) => listener.failed(data);
    }
    const start: StartMessage = { settings, board: board.memory, port: port2, hub: hub.port2, seal };
    const message: StartMessage | GateMessage = confinement === undefined
      ? start
      : { entry: confinedEntry(settings.modules), permissions: confinement.permissions, start };
    this.#worker.postMessage(message, [port2, hub.port2]);
  }

  /** To the isolate: jobs, or anything else that it listens to. */
  post(message: unknown): void {
    if (isOfHub(message)) this.#hub.postMessage(message.answer);
    else this.#port.postMessage(message);
  }

  terminate(): void {
    this.#port.close();
    this.#hub.close();
    this.#worker.terminate();
  }
}

/** A number that can't be guessed. Numbers, unlike texts, do not stand in the snapshots that code may take of its heap. */
function newSeal(): number {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return high * 2 ** 21 + (low >>> 11);
}

/** Hears what is under the seal, if there is one. Of anything else `forged` is told once. */
function sealed<Message>(
  hear: (message: Message) => void,
  seal: number | undefined,
  forged: () => void,
): (event: MessageEvent) => void {
  if (seal === undefined) return ({ data }) => hear(data);
  let told = false;
  return ({ data }) => {
    if (Array.isArray(data) && data[0] === seal) return hear(data[1]);
    if (!told) forged();
    told = true;
  };
}

const FORGED: PortMessage = {
  kind: "log",
  line: {
    level: "warning",
    text:
      "Ignored a message that an isolate has not sent: code of a task has got hold of its port and forged it.",
    task: "",
    id: "",
    own: false,
  },
};

/** The first module of a confined isolate. It can import nothing by a name made at run time, so it has all of them in it. */
function confinedEntry(modules: readonly ModuleFile[]): string {
  const loaders = modules.map(({ url }) => `${JSON.stringify(url)}: () => import(${JSON.stringify(url)})`);
  const inside = JSON.stringify(programFile("isolate/inside").href);
  const source = `import { serve } from ${inside};\n` +
    `const modules = { ${loaders.join(", ")} };\n` +
    `serve(globalThis, (url) => modules[url]());\n`;
  return `data:text/javascript,${encodeURIComponent(source)}`;
}

function isOfHub(message: unknown): message is HubMessage {
  return (message as { readonly kind?: unknown }).kind === "hub";
}
