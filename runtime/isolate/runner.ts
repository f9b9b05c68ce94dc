/**
 * Runs the jobs of one isolate: claim, decode, check, **run**, encode, report. One function a step, in that order,
 * from {@linkcode Runner} `#start` on.
 */
import {
  BadMessageError,
  decodeTask,
  type MessageLimits,
  type TaskRequest,
} from "../protocol/task_message.ts";
import { NotRegistered, outcomeOf, type Reject, TaskRevokedError } from "../protocol/errors.ts";
import { stringifyPythonJson } from "../protocol/python_json.ts";
import { encodeFailure, encodeState, encodeSuccess, type ResultExtra } from "../protocol/result_meta.ts";
import { ArgumentsError, bindArguments } from "./arguments.ts";
import type { ClaimBoard, Job } from "./claim_board.ts";
import { type IsolateSettings, type LogReport, Report, type StateReport } from "./isolate.ts";
import { errorName, type RegisteredTask } from "./task_definition.ts";
import { userTrace } from "./user_trace.ts";
import { runningTask, TaskContext, type TaskHost } from "./task_context.ts";

/** Where a runner's words go. */
export interface RunnerOutput {
  /** `[busy ms, ...reports]`. */
  report(reports: (number | string)[]): void;
  state(state: StateReport): void;
  log(level: LogReport["level"], text: string): void;
}

/** Reports leave together, but none waits longer than this for the others. */
const REPORT_EVERY_MS = 1;
/** A task that may take longer than this holds back nobody's report: they leave before it starts. */
const QUICK_MS = 1;

/** The jobs of one isolate, at most `slots` at once. */
export class Runner {
  /** Set once the modules are loaded. */
  tasks: ReadonlyMap<string, RegisteredTask> = new Map();
  readonly #settings: IsolateSettings;
  readonly #limits: MessageLimits;
  readonly #board: ClaimBoard;
  readonly #output: RunnerOutput;
  readonly #host: TaskHost;
  /** job, text, job, text: handed over and perhaps not claimed yet. */
  #queue: (number | string)[] = [];
  #head = 0;
  #running = 0;
  #reports: (number | string)[] = [];
  #busy = 0;
  #lastReport = 0;
  #flushTimer: ReturnType<typeof setTimeout> | undefined;
  /** The longest a task took lately, in ms; it fades, so that one slow run is forgiven in time. */
  readonly #slowest = new Map<string, number>();

  constructor(settings: IsolateSettings, board: ClaimBoard, output: RunnerOutput) {
    this.#settings = settings;
    this.#board = board;
    this.#output = output;
    this.#limits = {
      maxBodyBytes: settings.defaults.maxBodyBytes,
      accept: settings.defaults.acceptContent,
    };
    const say = (level: LogReport["level"]) => (...values: unknown[]) =>
      output.log(level, values.map(String).join(" "));
    this.#host = {
      hostname: settings.hostname,
      log: { debug: say("debug"), info: say("info"), warning: say("warning"), error: say("error") },
      storeState: (request, state, meta) => this.#storeState(request, state, meta),
    };
  }

  /** Adds jobs (job, text, job, text) and runs what there is room for; no jobs are a question, answered at once. */
  take(jobs: readonly (number | string)[]): void {
    if (jobs.length === 0) return this.#output.report([0]);
    for (let i = 0; i < jobs.length; i++) this.#queue.push(jobs[i]);
    this.#next();
  }

  /** Posts what is finished. */
  flush(): void {
    if (this.#flushTimer !== undefined) {
      clearTimeout(this.#flushTimer);
      this.#flushTimer = undefined;
    }
    if (this.#reports.length === 0) return;
    this.#output.report([this.#busy, ...this.#reports]);
    this.#reports = [];
    this.#busy = 0;
    this.#lastReport = performance.now();
  }

  #next(): void {
    let now = performance.now();
    while (this.#running < this.#settings.slots && this.#head < this.#queue.length) {
      const job = this.#queue[this.#head++] as Job;
      const text = this.#queue[this.#head++] as string;
      if (!this.#board.claim(job, Date.now())) continue;
      this.#start(job, text, now);
      now = performance.now();
      if (now - this.#lastReport >= REPORT_EVERY_MS) this.flush();
    }
    if (this.#head === this.#queue.length) {
      this.#queue.length = 0;
      this.#head = 0;
    }
    if (this.#reports.length === 0) return;
    // With nothing running nothing else will be finished soon; otherwise whoever runs lets the timer through.
    if (this.#running === 0) this.flush();
    else this.#flushTimer ??= setTimeout(() => this.flush(), REPORT_EVERY_MS);
  }

  /** From here on the steps of a run, each handing on to the next. */
  #start(job: Job, text: string, started: number): void {
    let request: TaskRequest;
    try {
      request = decodeTask(text, this.#limits);
    } catch (error) {
      if (!(error instanceof BadMessageError)) throw error;
      return this.#report(job, Report.DEAD, error.id ?? "", "", error.reason);
    }
    const task = this.tasks.get(request.task);
    if (task === undefined) {
      const error = new NotRegistered(request.task);
      return this.#refuse(job, request, undefined, error, `the task ${request.task} is not registered here`);
    }
    const now = Date.now();
    if (request.expires !== null && request.expires <= now) return this.#expire(job, request, task, now);
    if (request.eta !== null && request.eta > now) {
      return this.#report(job, Report.DELAYED, request.id, "", request.eta);
    }
    let args: unknown[];
    try {
      args = bindArguments(task, request.args, request.kwargs);
    } catch (error) {
      if (!(error instanceof ArgumentsError)) throw error;
      return this.#refuse(job, request, task, error, error.message);
    }
    this.#run(job, request, task, args, started);
  }

  #run(job: Job, request: TaskRequest, task: RegisteredTask, args: unknown[], started: number): void {
    if (this.#reports.length > 0 && !this.#isQuick(task.name)) this.flush();
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
      return this.#fail(job, request, task, error, started);
    }
    if (!isThenable(value)) return this.#succeed(job, request, task, value, started);
    this.#running++;
    const leave = (settle: () => void) => {
      this.#running--;
      settle();
      this.#next();
    };
    value.then(
      (value) => leave(() => this.#succeed(job, request, task, value, started)),
      (error) => leave(() => this.#fail(job, request, task, error, started)),
    );
  }

  #succeed(job: Job, request: TaskRequest, task: RegisteredTask, value: unknown, started: number): void {
    let result: string;
    const stores = !this.#ignoresResult(request, task) &&
      (value !== undefined || (task.options.storeUndefined ?? this.#settings.defaults.storeUndefined));
    try {
      result = stores || this.#settings.logSuccess ? stringifyPythonJson(value) : "";
    } catch (error) {
      return this.#fail(job, request, task, error, started);
    }
    this.#clock(task.name, started);
    if (this.#settings.logSuccess) {
      const seconds = ((performance.now() - started) / 1000).toFixed(4);
      const shown = result.length > 1024 ? `${result.slice(0, 1021)}...` : result;
      this.#about(
        request,
        task,
        "info",
        `Task ${task.name}[${request.id}] succeeded in ${seconds}s: ${shown}`,
      );
    }
    const text = stores ? encodeSuccess(request.id, result, Date.now(), this.#extra(request)) : "";
    this.#report(job, Report.SUCCESS, request.id, text, this.#ttl(task));
  }

  #fail(job: Job, request: TaskRequest, task: RegisteredTask, error: unknown, started: number): void {
    this.#clock(task.name, started);
    const outcome = outcomeOf(error);
    if (outcome === "ignore") return this.#report(job, Report.SUCCESS, request.id, "", 0);
    if (outcome === "reject") {
      const { requeue, message } = error as Reject;
      if (requeue) return this.#report(job, Report.REQUEUE, request.id, "", 0);
      return this.#report(job, Report.DEAD, request.id, "", `rejected by the task: ${message}`);
    }
    const expected = task.options.throws?.some((kind) => matches(error, kind)) ?? false;
    const shown = (expected ? null : userTrace(error)) ?? String(error);
    this.#about(
      request,
      task,
      expected ? "info" : "error",
      `Task ${task.name}[${request.id}] raised ${expected ? "expected" : "unexpected"}: ${shown}`,
    );
    const stores = !this.#ignoresResult(request, task) ||
      (task.options.storeErrorsEvenIfIgnored ?? this.#settings.defaults.storeErrorsEvenIfIgnored);
    this.#report(
      job,
      Report.FAILURE,
      request.id,
      stores ? this.#failure(request, task, error) : "",
      this.#ttl(task),
    );
  }

  #expire(job: Job, request: TaskRequest, task: RegisteredTask, now: number): void {
    const error = new TaskRevokedError("expired");
    this.#about(request, task, "info", `Discarding expired task ${task.name}[${request.id}]`);
    const text = encodeFailure(request.id, error, now, {
      taskModule: "celery.exceptions",
      state: "REVOKED",
      ...this.#extra(request),
    });
    this.#report(
      job,
      Report.EXPIRED,
      request.id,
      this.#ignoresResult(request, task) ? "" : text,
      this.#ttl(task),
    );
  }

  /** The message can't be run and is kept as a dead letter; its caller is told by a failure. */
  #refuse(
    job: Job,
    request: TaskRequest,
    task: RegisteredTask | undefined,
    error: Error,
    reason: string,
  ): void {
    const text = request.ignoreResult ? "" : this.#failure(request, task, error);
    this.#report(job, Report.DEAD, request.id, text, reason);
  }

  #failure(request: TaskRequest, task: RegisteredTask | undefined, error: unknown): string {
    return encodeFailure(request.id, error, Date.now(), {
      taskModule: task === undefined ? "celery.exceptions" : moduleOf(task.name),
      traceback: userTrace(error),
      ...this.#extra(request),
    });
  }

  #report(job: Job, report: number, id: string, text: string, extra: number | string): void {
    this.#board.done(job);
    this.#reports.push(job, report, id, text, extra);
  }

  #storeState(request: TaskRequest, state: string, meta: unknown): void {
    const task = this.tasks.get(request.task);
    if (task === undefined || this.#ignoresResult(request, task)) return;
    const text = encodeState({
      status: state,
      result: meta,
      traceback: null,
      children: [],
      dateDone: null,
      taskId: request.id,
      ...this.#extra(request),
    });
    this.#output.state([request.id, state, text, this.#ttl(task)]);
  }

  #ignoresResult(request: TaskRequest, task: RegisteredTask): boolean {
    return request.ignoreResult || (task.options.ignoreResult ?? this.#settings.defaults.ignoreResult);
  }

  #ttl(task: RegisteredTask): number {
    return task.options.resultExpires ?? this.#settings.defaults.resultExpires;
  }

  #extra(request: TaskRequest): ResultExtra | undefined {
    const { resultExtended } = this.#settings.defaults;
    if (!resultExtended && request.parentId === null && request.group === null) return undefined;
    const lineage = { parentId: request.parentId, groupId: request.group };
    if (!resultExtended) return lineage;
    const { task: name, args, kwargs, retries, routingKey: queue } = request;
    return { ...lineage, name, args, kwargs, retries, queue, worker: this.#settings.hostname };
  }

  #about(request: TaskRequest, _task: RegisteredTask, level: LogReport["level"], text: string): void {
    runningTask.run(new TaskContext(request, this.#host), this.#output.log, level, text);
  }

  #clock(name: string, started: number): void {
    const took = performance.now() - started;
    this.#busy += took;
    const before = this.#slowest.get(name);
    if (before === undefined || took > before) this.#slowest.set(name, took);
    else if (before > QUICK_MS) this.#slowest.set(name, before * 0.98);
  }

  #isQuick(name: string): boolean {
    const slowest = this.#slowest.get(name);
    return slowest !== undefined && slowest < QUICK_MS;
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null &&
    typeof (value as PromiseLike<unknown>).then === "function";
}

function matches(error: unknown, kind: string | (new (...args: never[]) => Error)): boolean {
  return typeof kind === "string"
    ? error instanceof Error && errorName(kind) === error.name
    : error instanceof kind;
}

/** `tasks.math` of `tasks.math.add`: where Python callers look for the error's class. */
function moduleOf(task: string): string {
  return task.slice(0, Math.max(0, task.lastIndexOf(".")));
}
