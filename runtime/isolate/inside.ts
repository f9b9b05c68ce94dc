/**
 * The code inside an isolate: **run**. It decodes each message whole, runs its task, encodes what came of it, and
 * reports; the main thread only routes text. Started by `web_worker.ts`.
 */
import { describeTask, type RegisteredTask } from "./task_definition.ts";
import { systemClock } from "../clock.ts";
import { setWorkerSettings } from "../config/surroundings.ts";
import { beforeExit } from "../platform.ts";
import type { RelayAnswer, RelayRequest } from "../channel/relay.ts";
import { type HubAnswer, type HubPlace, HubPort, type HubRequest } from "../hub/port.ts";
import { ClaimBoard } from "./claim_board.ts";
import { captureConsole } from "./console.ts";
import type { Death, FollowReport, IsolateSettings, LogReport, StateReport } from "./isolate.ts";
import { type LoadedModule, loadTasks, type ModuleLoader } from "./load_modules.ts";
import type { RecallAnswer, RecallRequest } from "./recollection.ts";
import { Runner } from "./runner.ts";
import { readSchedules, type ScheduleExport } from "./schedule_export.ts";
import { isOver, runningTask } from "./task_context.ts";
import type { LimitsOfTask } from "./time_limits.ts";
import { unreadable, userTrace } from "./user_trace.ts";

/** From the main thread, once. */
export interface StartMessage {
  readonly settings: IsolateSettings;
  readonly board: SharedArrayBuffer;
  readonly port: MessagePort;
  /** To the timer hub. */
  readonly hub: MessagePort;
  /** Where code of tasks may be nobody's friend: what the isolate says is said under this number, see {@linkcode sender}. */
  readonly seal?: number;
}

/** From the main thread, later: jobs, answers, limits. */
export type ToInside =
  | (number | string)[]
  | RelayAnswer
  | RecallAnswer
  | { readonly kind: "limits"; readonly limits: LimitsOfTask };

/** From the isolate, beside its reports (`[busy, ...reports]`, see `isolate.ts`). */
export type InsideMessage =
  | {
    readonly kind: "ready";
    readonly tasks: readonly ReturnType<typeof describeTask>[];
    /** Where they were asked for. */
    readonly schedules?: readonly ScheduleExport[];
  }
  | { readonly kind: "unusable"; readonly reason: string }
  | { readonly kind: "died"; readonly reason: string; readonly how?: Death }
  | { readonly kind: "state"; readonly state: StateReport }
  | { readonly kind: "follow"; readonly follow: FollowReport }
  | { readonly kind: "relay"; readonly request: RelayRequest | RecallRequest }
  | { readonly kind: "hub"; readonly request: HubRequest }
  | { readonly kind: "log"; readonly line: LogReport };

const LOG_LINES_UNDER_WAY = 10_000;
/** Milliseconds between two progresses of a task that are stored, at least. */
const PROGRESS_EVERY = 50;

/** Takes the first message of the main thread and runs jobs from then on. `load` imports the task modules. */
export function serve(
  scope: { onmessage: ((event: MessageEvent<StartMessage>) => void) | null },
  load?: ModuleLoader,
): void {
  scope.onmessage = (event) => {
    scope.onmessage = null;
    void begin(event.data, load);
  };
}

async function begin(
  { settings, board: memory, port, hub, seal }: StartMessage,
  load: ModuleLoader | undefined,
): Promise<void> {
  const post = sender<InsideMessage | (number | string)[]>(port, seal);
  const board = new ClaimBoard(memory);
  let dropped = 0;
  const log = (level: LogReport["level"], text: string, own: boolean) => {
    if (!board.admitLogLine(LOG_LINES_UNDER_WAY)) return void dropped++;
    const context = runningTask.getStore();
    const line = { level, text, task: context?.name ?? "", id: context?.id ?? "", own };
    post({
      kind: "log",
      line: dropped > 0 ? { ...line, text: `${text} (${dropped} lines before it dropped)` } : line,
    });
    dropped = 0;
  };
  setWorkerSettings(settings.client);
  captureConsole((level, text) => log(level, text, true));

  const runner = new Runner(settings, board, {
    report: post,
    follow: (follow) => post({ kind: "follow", follow }),
    state: (state) => post({ kind: "state", state }),
    relay: (request) => post({ kind: "relay", request }),
    hub: settings.hub && hubPort(settings.hub, hub, seal),
    progressEvery: PROGRESS_EVERY,
    log,
  });
  port.onmessage = ({ data }: MessageEvent<ToInside>) => {
    if (Array.isArray(data)) runner.take(data);
    else if (data.kind === "limits") runner.setLimits(data.limits);
    else runner.hear(data);
  };
  keepToUs(port);
  keepToUs(hub);
  const die = (reason: string, how?: Death) => {
    runner.flush();
    post({ kind: "died", reason, how });
  };
  beforeExit((call) => die(`it called ${call}`));
  // An error outside a task leaves the isolate in a state that nobody vouches for: it is replaced as a whole.
  addEventListener("error", (event: ErrorEvent) => {
    event.preventDefault();
    die(`an error outside a task: ${trace(event.error ?? event.message)}`);
  });
  addEventListener("unhandledrejection", (event: PromiseRejectionEvent) => {
    event.preventDefault();
    const context = runningTask.getStore();
    if (context === undefined || !isOver(context)) {
      return die(`a rejection that nothing handled: ${trace(event.reason)}`);
    }
    const { name, id } = context;
    die(
      `a rejection that ${name}[${id}] has left behind and nothing handled: ${trace(event.reason)}`,
      "left behind",
    );
  });

  let tasks: Map<string, RegisteredTask>;
  let schedules: readonly ScheduleExport[] | undefined;
  try {
    const loaded: LoadedModule[] = [];
    tasks = await loadTasks(settings.modules, load, loaded);
    if (settings.schedules) schedules = readSchedules(loaded, tasks);
  } catch (error) {
    return post({ kind: "unusable", reason: error instanceof Error ? error.message : String(error) });
  }
  runner.tasks = tasks;
  post({ kind: "ready", tasks: [...tasks.values()].map(describeTask), schedules });
}

/** What user code puts in the place of `dispatchEvent` would otherwise be called with the port in its hands. */
function keepToUs(port: MessagePort): void {
  Object.defineProperty(port, "dispatchEvent", { value: port.dispatchEvent.bind(port) });
}

/**
 * Posts to a port; bound before any task module loads. Code of tasks may get hold of the port itself, as the target of an
 * event, by what it puts on the prototypes of events. It never sees the number, so what it posts is not heard.
 */
function sender<Message>(port: MessagePort, seal: number | undefined): (message: Message) => void {
  const post = port.postMessage.bind(port);
  return seal === undefined ? post : (message) => post([seal, message]);
}

function hubPort(place: HubPlace, port: MessagePort, seal: number | undefined): HubPort {
  const ours = new HubPort(place, sender<HubRequest>(port, seal), systemClock.monotonic);
  port.onmessage = ({ data }: MessageEvent<HubAnswer>) => ours.hear(data);
  return ours;
}

function trace(error: unknown): string {
  try {
    return error instanceof Error ? userTrace(error) ?? String(error) : String(error);
  } catch (why) {
    return unreadable(why).message;
  }
}
