/**
 * Runs the jobs of one isolate. A job's way is one function a step: claim, decode, check, **run**, then succeed or
 * fail; each ends with a report.
 */
import { format } from "node:util";
import { NotRegistered, outcomeOf, type Reject } from "../protocol/errors.ts";
import { stringifyPythonJson } from "../protocol/python_json.ts";
import {
  BadMessageError,
  decodeTask,
  type MessageLimits,
  type TaskRequest,
} from "../protocol/task_message.ts";
import { ArgumentsError, bindArguments } from "./arguments.ts";
import type { ClaimBoard, Job } from "./claim_board.ts";
import { MAX_MESSAGES, TTL } from "../channel/message.ts";
import type { RelayAnswer, RelayRequest } from "../channel/relay.ts";
import { Correspondence } from "./correspondence.ts";
import { type IsolateSettings, type LogReport, Report, type StateReport } from "./isolate.ts";
import { Outcomes } from "./outcomes.ts";
import { Reports } from "./reports.ts";
import { errorName, type RegisteredTask } from "./task_definition.ts";
import { correspondenceOf, runningTask, TaskContext, type TaskHost } from "./task_context.ts";
import { userTrace } from "./user_trace.ts";

/** Where a runner's words go. */
export interface RunnerOutput {
  /** `[busy ms, ...reports]`, see `isolate.ts`. */
  report(message: (number | string)[]): void;
  state(state: StateReport): void;
  /** Messages of tasks; the answers come by {@linkcode Runner.hear}. */
  relay(request: RelayRequest): void;
  /** Milliseconds between two progresses of a task that are stored, at least. */
  readonly progressEvery: number;
  /** `own` marks what the task says itself. */
  log(level: LogReport["level"], text: string, own: boolean): void;
}

/** One run of a task. */
interface Run {
  readonly job: Job;
  readonly request: TaskRequest;
  readonly task: RegisteredTask;
  /** By `performance.now()`. */
  readonly started: number;
}

/** The jobs of one isolate, at most `slots` at once. */
export class Runner {
  /** Set once the modules are loaded. */
  tasks: ReadonlyMap<string, RegisteredTask> = new Map();
  readonly #settings: IsolateSettings;
  readonly #limits: MessageLimits;
  readonly #board: ClaimBoard;
  readonly #reports: Reports;
  readonly #outcomes: Outcomes;
  readonly #output: RunnerOutput;
  readonly #host: TaskHost;
  readonly #now: () => number;
  /** job, text, job, text: handed over and perhaps not claimed yet. */
  #queue: (number | string)[] = [];
  #head = 0;
  #running = 0;
  /** By the number that the relay knows a run by. */
  readonly #correspondences = new Map<number, Correspondence>();
  #corresponding = 0;

  /** `now` tells the time that ETAs and expiry are about, in ms since 1970. */
  constructor(
    settings: IsolateSettings,
    board: ClaimBoard,
    output: RunnerOutput,
    now: () => number = Date.now,
  ) {
    const { maxBodyBytes, acceptContent } = settings.defaults;
    this.#settings = settings;
    this.#limits = { maxBodyBytes, accept: acceptContent };
    this.#board = board;
    this.#reports = new Reports(board, (message) => output.report(message));
    this.#now = now;
    this.#outcomes = new Outcomes(settings, now);
    this.#output = output;
    const say = (level: LogReport["level"]) => (...values: unknown[]) =>
      output.log(level, format(...values), true);
    this.#host = {
      hostname: settings.hostname,
      log: { debug: say("debug"), info: say("info"), warning: say("warning"), error: say("error") },
      storeState: (request, state, meta) => this.#storeState(request, state, meta),
      correspond: (request) => this.#correspond(request),
    };
  }

  /** Adds jobs (job, text, job, text) and runs what there is room for; no jobs are a question, answered at once. */
  take(jobs: readonly (number | string)[]): void {
    if (jobs.length === 0) return this.#reports.answer();
    for (let i = 0; i < jobs.length; i++) this.#queue.push(jobs[i]);
    this.#next();
  }

  /** Hears what became of messages of tasks. */
  hear(answer: RelayAnswer): void {
    this.#correspondences.get(answer.run)?.hear(answer);
    if (answer.kind === "finished") this.#correspondences.delete(answer.run);
  }

  /** Posts what is finished. */
  flush(): void {
    this.#reports.flush();
  }

  #next(): void {
    let now = performance.now();
    while (this.#running < this.#settings.slots && this.#head < this.#queue.length) {
      const job = this.#queue[this.#head++] as Job;
      const text = this.#queue[this.#head++] as string;
      if (!this.#board.claim(job, this.#now())) continue;
      this.#decode(job, text, now);
      now = performance.now();
      this.#reports.flushLate(now);
    }
    if (this.#head === this.#queue.length) {
      this.#queue.length = 0;
      this.#head = 0;
    }
    // With nothing running nothing else will be finished soon; otherwise whoever runs lets a timer through.
    if (this.#running === 0) this.#reports.flush();
    else this.#reports.flushSoon();
  }

  #decode(job: Job, text: string, started: number): void {
    let request: TaskRequest;
    try {
      request = decodeTask(text, this.#limits);
    } catch (error) {
      if (!(error instanceof BadMessageError)) throw error;
      return this.#reports.add(job, Report.DEAD, error.id ?? "", "", error.reason);
    }
    const task = this.tasks.get(request.task);
    if (task !== undefined) return this.#check({ job, request, task, started });
    const error = new NotRegistered(request.task);
    this.#refuse(job, request, error, `the task ${request.task} is not registered here`);
  }

  #check(run: Run): void {
    const { job, request, task } = run;
    const now = this.#now();
    if (request.expires !== null && request.expires <= now) return this.#expire(run);
    if (request.eta !== null && request.eta > now) {
      return this.#reports.add(job, Report.DELAYED, request.id, "", request.eta);
    }
    let args: unknown[];
    try {
      args = bindArguments(task, request.args, request.kwargs);
    } catch (error) {
      if (!(error instanceof ArgumentsError)) throw error;
      return this.#refuse(job, request, error, error.message);
    }
    this.#run(run, args);
  }

  #run(run: Run, args: unknown[]): void {
    const { request, task } = run;
    this.#reports.before(task.name);
    if (task.options.trackStarted ?? this.#settings.defaults.trackStarted) {
      this.#storeState(request, "STARTED", { pid: this.#settings.pid, hostname: this.#settings.hostname });
    }
    const context = new TaskContext(request, this.#host);
    let value: unknown;
    try {
      value = task.options.bind
        ? runningTask.run(context, task.run, context, ...args)
        : runningTask.run(context, task.run, ...args);
    } catch (error) {
      return this.#finish(run, context, isFinal(error), () => this.#fail(run, error));
    }
    if (!isThenable(value)) {
      // The usual task costs nothing more.
      if (correspondenceOf(context) === undefined) return this.#succeed(run, value);
      return this.#finish(run, context, true, () => this.#succeed(run, value));
    }
    this.#running++;
    const leave = (isFinal: boolean, settle: () => void) => {
      this.#running--;
      this.#finish(run, context, isFinal, settle);
      this.#next();
    };
    value.then(
      (value) => leave(true, () => this.#succeed(run, value)),
      (error) => leave(isFinal(error), () => this.#fail(run, error)),
    );
  }

  /** Settles a run once what it has sent is stored, so that whoever has its result can have all of that, too. */
  #finish(run: Run, context: TaskContext, isFinal: boolean, settle: () => void): void {
    const stored = correspondenceOf(context)?.finish(isFinal);
    if (stored === undefined) return settle();
    this.#running++;
    const leave = (settle: () => void) => {
      this.#running--;
      settle();
      this.#next();
    };
    stored.then(() => leave(settle), (error) => leave(() => this.#fail(run, error)));
  }

  #correspond(request: TaskRequest): Correspondence {
    const run = ++this.#corresponding;
    const own = this.tasks.get(request.task)?.options.messages ?? {};
    const correspondence = new Correspondence({
      run,
      id: request.id,
      limits: { maxMessages: MAX_MESSAGES, whenFull: "wait", patience: ROOM_PATIENCE, ttl: TTL, ...own },
      post: (message) => this.#output.relay(message),
      storeProgress: (progress) => this.#storeState(request, "PROGRESS", progress),
      progressEvery: this.#output.progressEvery,
    });
    this.#correspondences.set(run, correspondence);
    return correspondence;
  }

  #succeed(run: Run, value: unknown): void {
    const { job, request, task, started } = run;
    const { logSuccess } = this.#settings;
    const stores = this.#outcomes.storesValue(request, task, value);
    let json = "";
    try {
      if (stores || logSuccess) json = stringifyPythonJson(value);
    } catch (error) {
      return this.#fail(run, error);
    }
    const took = performance.now() - started;
    this.#reports.ran(task.name, took);
    if (logSuccess) this.#tell(run, "info", `succeeded in ${(took / 1000).toFixed(4)}s: ${shortened(json)}`);
    const text = stores ? this.#outcomes.success(request, json) : "";
    this.#reports.add(job, Report.SUCCESS, request.id, text, this.#outcomes.ttl(task));
  }

  #fail(run: Run, error: unknown): void {
    const { job, request, task, started } = run;
    this.#reports.ran(task.name, performance.now() - started);
    const outcome = outcomeOf(error);
    if (outcome === "ignore") return this.#reports.add(job, Report.SUCCESS, request.id, "", 0);
    if (outcome === "reject") {
      const { requeue, message } = error as Reject;
      if (requeue) return this.#reports.add(job, Report.REQUEUE, request.id, "", 0);
      return this.#reports.add(job, Report.DEAD, request.id, "", `rejected by the task: ${message}`);
    }
    const expected = task.options.throws?.some((kind) => isOfKind(error, kind)) ?? false;
    if (expected) this.#tell(run, "info", `raised expected: ${String(error)}`);
    else this.#tell(run, "error", `raised unexpected: ${userTrace(error) ?? String(error)}`);
    const text = this.#outcomes.failure(request, task, error);
    this.#reports.add(job, Report.FAILURE, request.id, text, this.#outcomes.ttl(task));
  }

  #expire(run: Run): void {
    const { job, request, task } = run;
    this.#tell(run, "info", "is discarded: it has expired");
    const text = this.#outcomes.expired(request, task);
    this.#reports.add(job, Report.EXPIRED, request.id, text, this.#outcomes.ttl(task));
  }

  /** The message can't be run and is kept as a dead letter; its caller is told by a failure. */
  #refuse(job: Job, request: TaskRequest, error: Error, reason: string): void {
    this.#reports.add(job, Report.DEAD, request.id, this.#outcomes.refusal(request, error), reason);
  }

  #storeState(request: TaskRequest, state: string, meta: unknown): void {
    const task = this.tasks.get(request.task);
    const report = task && this.#outcomes.state(request, task, state, meta);
    if (report !== undefined) this.#output.state(report);
  }

  /** Logs a line about a run, with the task's name and id on it. */
  #tell({ request }: Run, level: LogReport["level"], text: string): void {
    const line = `Task ${request.task}[${request.id}] ${text}`;
    runningTask.run(new TaskContext(request, this.#host), this.#output.log, level, line, false);
  }
}

const LONGEST_SHOWN = 1024;
/** Seconds without room after which a task that sends fails. */
const ROOM_PATIENCE = 30;

/** Whether a task that threw this will not run again by itself. */
function isFinal(error: unknown): boolean {
  return !(outcomeOf(error) === "reject" && (error as Reject).requeue);
}

function shortened(json: string): string {
  return json.length > LONGEST_SHOWN ? `${json.slice(0, LONGEST_SHOWN - 3)}...` : json;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null &&
    typeof (value as PromiseLike<unknown>).then === "function";
}

function isOfKind(error: unknown, kind: string | (new (...args: never[]) => Error)): boolean {
  return typeof kind === "string"
    ? error instanceof Error && errorName(kind) === error.name
    : error instanceof kind;
}
