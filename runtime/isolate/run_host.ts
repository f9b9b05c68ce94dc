/**
 * What surrounds the runs of one isolate: what their tasks say, send, set and store before they end. Beside **run**, for as long
 * as that takes.
 */
import { format } from "node:util";
import { MAX_MESSAGES, TTL } from "../channel/message.ts";
import type { RelayAnswer, RelayRequest } from "../channel/relay.ts";
import type { HubPort } from "../hub/port.ts";
import type { Following } from "../protocol/chord.ts";
import type { SignatureJson } from "../protocol/signature.ts";
import type { TaskRequest } from "../protocol/task_message.ts";
import type { Addition } from "../workflow/follow.ts";
import type { Aftermath } from "./aftermath.ts";
import { Correspondence } from "./correspondence.ts";
import type { FollowReport, IsolateSettings, LogReport, StateReport } from "./isolate.ts";
import type { Outcomes } from "./outcomes.ts";
import type { RecallRequest } from "./recollection.ts";
import { type PlannedRetry, planRetry, type RetryOptions } from "./retry.ts";
import { nameOf, type RegisteredTask } from "./task_definition.ts";
import { runningTask, TaskContext } from "./task_context.ts";
import type { TaskHost, TaskLog } from "./task_host.ts";
import { RunTimers } from "./timers.ts";

/** Seconds without room after which a task that sends fails. */
const ROOM_PATIENCE = 30;

/** Where a runner's words go. */
export interface RunnerOutput {
  /** `[busy ms, ...reports]`, see `isolate.ts`. */
  report(message: (number | string)[]): void;
  /** What follows jobs, just before their reports. */
  follow(follow: FollowReport): void;
  state(state: StateReport): void;
  /** Messages of tasks, and questions about them; the answers come by {@linkcode Runner.hear}. */
  relay(request: RelayRequest | RecallRequest): void;
  /** Where timers are set, if they can be. */
  readonly hub?: HubPort;
  /** Milliseconds between two progresses of a task that are stored, at least. */
  readonly progressEvery: number;
  /** `own` marks what the task says itself. */
  log(level: LogReport["level"], text: string, own: boolean): void;
}

/** What a host has of its runner. */
export interface RunHostParts {
  readonly settings: IsolateSettings;
  readonly output: RunnerOutput;
  readonly outcomes: Outcomes;
  readonly aftermath: Aftermath;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** All that its modules have. */
  tasks(): ReadonlyMap<string, RegisteredTask>;
}

export class RunHost implements TaskHost {
  readonly hostname: string;
  readonly log: TaskLog;
  readonly #parts: RunHostParts;
  /** By the number that the relay knows a run by. */
  readonly #correspondences = new Map<number, Correspondence>();
  #corresponding = 0;

  constructor(parts: RunHostParts) {
    const { settings, output } = parts;
    const say = (level: LogReport["level"]) => (...values: unknown[]) =>
      output.log(level, format(...values), true);
    this.#parts = parts;
    this.hostname = settings.hostname;
    this.log = { debug: say("debug"), info: say("info"), warning: say("warning"), error: say("error") };
  }

  /** Logs a line about a run, with the task's name and id on it. */
  tell(request: TaskRequest, level: LogReport["level"], text: string): void {
    const line = `Task ${request.task}[${request.id}] ${text}`;
    runningTask.run(new TaskContext(request, this), this.#parts.output.log, level, line, false);
  }

  /** Hears what became of messages of tasks. */
  hear(answer: RelayAnswer): void {
    this.#correspondences.get(answer.run)?.hear(answer);
    if (answer.kind === "finished") this.#correspondences.delete(answer.run);
  }

  storeState(request: TaskRequest, state: string, meta: unknown): void {
    const { outcomes, output, tasks } = this.#parts;
    const task = tasks().get(request.task);
    const report = task && outcomes.state(request, task, state, meta);
    if (report !== undefined) output.state(report);
  }

  correspond(request: TaskRequest): Correspondence {
    const { output, tasks } = this.#parts;
    const run = ++this.#corresponding;
    const own = tasks().get(request.task)?.options.messages ?? {};
    const correspondence = new Correspondence({
      run,
      id: request.id,
      limits: { maxMessages: MAX_MESSAGES, whenFull: "wait", patience: ROOM_PATIENCE, ttl: TTL, ...own },
      post: (message) => output.relay(message),
      storeProgress: (progress) => this.storeState(request, "PROGRESS", progress),
      progressEvery: output.progressEvery,
    });
    this.#correspondences.set(run, correspondence);
    return correspondence;
  }

  timers(request: TaskRequest): RunTimers {
    const { output: { hub: port }, now, settings, tasks } = this.#parts;
    if (port === undefined) throw new Error("there is no timer hub where this task runs");
    return new RunTimers({
      port,
      request,
      now,
      maxBodyBytes: settings.defaults.maxBodyBytes,
      nameOf: (task) => nameOf(task, tasks()),
    });
  }

  retry(request: TaskRequest, text: string, options: RetryOptions): PlannedRetry {
    const { now, tasks } = this.#parts;
    return planRetry(text, request, tasks().get(request.task), options, now());
  }

  replace(request: TaskRequest, signature: SignatureJson): Following {
    const context = runningTask.getStore();
    if (context !== undefined) {
      this.#parts.tasks().get(request.task)?.options.onReplace?.(context, signature);
    }
    return this.#parts.aftermath.replacement(request, signature);
  }

  addToChord(request: TaskRequest, signature: SignatureJson, position: number): Addition {
    return this.#parts.aftermath.addition(request, signature, position);
  }
}
