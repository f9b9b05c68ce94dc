/**
 * Runs the jobs of one isolate. A job's way is one function a step: claim, decode, check, **run**, then succeed or
 * fail; each ends with a report.
 */
import { format } from "node:util";
import { type Clock, systemClock } from "../clock.ts";
import { type Following, together } from "../protocol/chord.ts";
import { NotRegistered, outcomeOf, type Reject, type Retry, TaskRevokedError } from "../protocol/errors.ts";
import type { DecodedResult } from "../protocol/result_meta.ts";
import { stringifyPythonJson } from "../protocol/python_json.ts";
import {
  BadMessageError,
  decodeTask,
  type MessageLimits,
  type TaskRequest,
} from "../protocol/task_message.ts";
import { Aftermath } from "./aftermath.ts";
import { ArgumentsError, bindArguments } from "./arguments.ts";
import type { ClaimBoard, Job } from "./claim_board.ts";
import { MAX_MESSAGES, TTL } from "../channel/message.ts";
import type { RelayAnswer, RelayRequest } from "../channel/relay.ts";
import type { HubPort } from "../hub/port.ts";
import { Correspondence } from "./correspondence.ts";
import { callErrbacks } from "./errbacks.ts";
import { isOneOf } from "./error_kind.ts";
import {
  type FollowReport,
  type IsolateSettings,
  type LogReport,
  Report,
  type StateReport,
} from "./isolate.ts";
import { JobQueue } from "./job_queue.ts";
import { MemoryGauge } from "./memory_gauge.ts";
import { Outcomes } from "./outcomes.ts";
import { type RecallAnswer, type RecallRequest, Recollection } from "./recollection.ts";
import { Reports } from "./reports.ts";
import { reservedTasks } from "./reserved_tasks.ts";
import { isFinal, planRetry, retriedError } from "./retry.ts";
import { SoftLimit } from "./soft_limit.ts";
import { nameOf, type RegisteredTask } from "./task_definition.ts";
import {
  additionsOf,
  correspondenceOf,
  endContext,
  replacementOf,
  retryOf,
  runningTask,
  TaskContext,
  type TaskHost,
  timersOf,
  trailOf,
} from "./task_context.ts";
import { callEndHooks, hearsOfEnds, isThenable, type RunEnd, startWithHook } from "./task_hooks.ts";
import { type LimitsOfTask, TimeLimits } from "./time_limits.ts";
import { RunTimers } from "./timers.ts";
import { userTrace } from "./user_trace.ts";

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

/** One run of a task. */
interface Run {
  readonly job: Job;
  readonly text: string;
  readonly request: TaskRequest;
  readonly task: RegisteredTask;
  /** By `performance.now()`. */
  readonly started: number;
  /** Once its function is called. */
  context: TaskContext | undefined;
  softLimit: SoftLimit | undefined;
  /** What is done when it is settled, beside its retry. */
  follow: Following | undefined;
}

/** The jobs of one isolate, at most `slots` at once. */
export class Runner {
  #tasks: ReadonlyMap<string, RegisteredTask> = new Map();
  /** Names of the tasks that it runs; undefined for all. */
  readonly #served: ReadonlySet<string> | undefined;
  readonly #settings: IsolateSettings;
  readonly #limits: MessageLimits;
  readonly #board: ClaimBoard;
  readonly #reports: Reports;
  readonly #outcomes: Outcomes;
  readonly #aftermath: Aftermath;
  /** Those of Celery's own names. */
  readonly #reserved = reservedTasks((name) => {
    const task = this.#find(name);
    if (task === undefined) throw new NotRegistered(name);
    return task;
  });
  readonly #output: RunnerOutput;
  readonly #host: TaskHost;
  readonly #recollection: Recollection;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #timeLimits: TimeLimits;
  readonly #memory: MemoryGauge | undefined;
  readonly #queue: JobQueue;
  #running = 0;
  /** By the number that the relay knows a run by. */
  readonly #correspondences = new Map<number, Correspondence>();
  #corresponding = 0;

  /** `clock` tells the time that ETAs, expiry and soft limits are about; `random` is as `Math.random`. */
  constructor(
    settings: IsolateSettings,
    board: ClaimBoard,
    output: RunnerOutput,
    clock: Clock = systemClock,
    random: () => number = Math.random,
  ) {
    const { maxBodyBytes, acceptContent } = settings.defaults;
    this.#settings = settings;
    this.#served = settings.serves && new Set(settings.serves);
    this.#limits = { maxBodyBytes, accept: acceptContent };
    this.#board = board;
    this.#reports = new Reports(
      board,
      (message) => output.report(message),
      (follow) => output.follow(follow),
    );
    this.#clock = clock;
    this.#random = random;
    this.#queue = new JobQueue(board, clock);
    this.#timeLimits = new TimeLimits(settings.defaults);
    this.#memory = settings.lifetime.memory !== null ? new MemoryGauge(board) : undefined;
    this.#outcomes = new Outcomes(settings, () => clock.now());
    this.#aftermath = new Aftermath({
      settings,
      outcomes: this.#outcomes,
      now: () => clock.now(),
      find: (name) => this.#find(name),
      state: (state) => output.state(state),
      unsent: ({ task, id }, error) => {
        const line = `Task ${task}[${id}] has an error callback that can't be sent: ${String(error)}`;
        output.log("error", line, false);
      },
    });
    this.#output = output;
    this.#recollection = new Recollection((request) => output.relay(request));
    const say = (level: LogReport["level"]) => (...values: unknown[]) =>
      output.log(level, format(...values), true);
    this.#host = {
      hostname: settings.hostname,
      log: { debug: say("debug"), info: say("info"), warning: say("warning"), error: say("error") },
      storeState: (request, state, meta) => this.#storeState(request, state, meta),
      correspond: (request) => this.#correspond(request),
      timers: (request) => this.#timersOf(request),
      retry: (request, text, options) =>
        planRetry(text, request, this.#tasks.get(request.task), options, this.#clock.now()),
      replace: (request, signature) => this.#aftermath.replacement(request, signature),
      addToChord: (request, signature, position) => this.#aftermath.addition(request, signature, position),
    };
  }

  /** Set once the modules are loaded. */
  set tasks(tasks: ReadonlyMap<string, RegisteredTask>) {
    this.#tasks = tasks;
    this.#queue.know(tasks.values(), this.#settings.slots);
  }

  /** Sets the time limits of a task for the runs that start from here on. */
  setLimits(limits: LimitsOfTask): void {
    this.#timeLimits.set(limits);
  }

  /** Adds jobs (job, text, job, text) and runs what there is room for; no jobs are a question, answered at once. */
  take(jobs: readonly (number | string)[]): void {
    this.#queue.add(jobs);
    if (jobs.length === 0) this.#reports.answer();
    this.#next();
  }

  /** Hears what became of messages of tasks. */
  hear(answer: RelayAnswer | RecallAnswer): void {
    if (answer.kind === "recalled") return this.#recollection.hear(answer);
    this.#correspondences.get(answer.run)?.hear(answer);
    if (answer.kind === "finished") this.#correspondences.delete(answer.run);
  }

  /** Posts what is finished. */
  flush(): void {
    this.#reports.flush();
  }

  #next(): void {
    let now = performance.now();
    while (this.#running < this.#settings.slots && this.#queue.claim(this.#running)) {
      this.#decode(this.#queue.job, this.#queue.text, now);
      now = performance.now();
      this.#reports.flushLate(now);
    }
    if (this.#running === 0) this.#queue.share(false);
    this.#memory?.look(now);
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
      return this.#reports.add(
        job,
        Report.DEAD,
        error.id ?? "",
        this.#outcomes.unreadable(error),
        error.reason,
      );
    }
    const task = this.#find(request.task) ?? this.#reserved.get(request.task);
    if (task !== undefined) {
      const run: Run = {
        job,
        text,
        request,
        task,
        started,
        context: undefined,
        softLimit: undefined,
        follow: undefined,
      };
      this.#queue.share(task.options.exclusive === true);
      return request.redelivered && this.#outcomes.dedupes(request, task)
        ? this.#recall(run)
        : this.#check(run);
    }
    const error = new NotRegistered(request.task);
    this.#refuse(job, request, error, `the task ${request.task} is not registered here`);
  }

  /** A module may have other tasks beside those that run here, whose demands this isolate does not meet. */
  #find(task: string): RegisteredTask | undefined {
    return this.#served === undefined || this.#served.has(task) ? this.#tasks.get(task) : undefined;
  }

  /** It may have run before: perhaps its result is known. */
  #recall(run: Run): void {
    this.#running++;
    this.#recollection.finalResult(run.request).then((result) => {
      this.#running--;
      if (result === undefined) this.#check(run);
      else {
        this.#tell(run, "info", `is not run again: its result is stored already, ${result.status}`);
        this.#followAgain(run, result);
        this.#reports.add(run.job, Report.SUCCESS, run.request.id, "", 0);
      }
      this.#next();
    });
  }

  #check(run: Run): void {
    const { job, request, task } = run;
    const now = this.#clock.now();
    if (request.expires !== null && request.expires <= now) return this.#expire(run);
    if (request.eta !== null && request.eta > now) {
      // Nobody has to wait for longer than that to hear that it expired.
      const due = Math.min(request.eta, request.expires ?? Infinity);
      return this.#reports.add(job, Report.DELAYED, request.id, "", due);
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
    this.#limit(run);
    const context = run.context = new TaskContext(request, this.#host, run.softLimit, run.text);
    let value: unknown;
    try {
      value = task.options.onBeforeStart !== undefined
        ? runningTask.run(context, startWithHook, task, context, args)
        : task.options.bind
        ? runningTask.run(context, task.run, context, ...args)
        : runningTask.run(context, task.run, ...args);
    } catch (thrown) {
      const error = retriedError(context, task, reasonOf(run, thrown), this.#random);
      return this.#finish(run, context, isFinal(error), () => this.#fail(run, error));
    }
    if (!isThenable(value)) {
      // The usual task costs nothing more.
      if (correspondenceOf(context) === undefined && timersOf(context) === undefined) {
        return this.#succeed(run, value);
      }
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
      (thrown) => {
        const error = retriedError(context, task, reasonOf(run, thrown), this.#random);
        leave(isFinal(error), () => this.#fail(run, error));
      },
    );
  }

  /** From here on its time counts. */
  #limit(run: Run): void {
    const { job, request, task: { options } } = run;
    const hard = this.#timeLimits.hard(request, options), soft = this.#timeLimits.soft(request, options);
    if (hard > 0) this.#board.limit(job, hard);
    if (soft === 0) return;
    const tell = () => this.#tell(run, "warning", `has exceeded its soft time limit of ${soft} s`);
    run.softLimit = new SoftLimit(soft, this.#clock, tell);
  }

  /** Settles a run once what it has sent and set is held, so that whoever has its result can have all of that, too. */
  #finish(run: Run, context: TaskContext, isFinal: boolean, settle: () => void): void {
    const stored = both(correspondenceOf(context)?.finish(isFinal), timersOf(context)?.finish());
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
    const own = this.#tasks.get(request.task)?.options.messages ?? {};
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

  #timersOf(request: TaskRequest): RunTimers {
    const { hub: port } = this.#output;
    if (port === undefined) throw new Error("there is no timer hub where this task runs");
    return new RunTimers({
      port,
      request,
      now: () => this.#clock.now(),
      maxBodyBytes: this.#settings.defaults.maxBodyBytes,
      nameOf: (task) => nameOf(task, this.#tasks),
    });
  }

  #succeed(run: Run, value: unknown): void {
    const { request, task, started } = run;
    const { logSuccess } = this.#settings;
    run.softLimit?.end();
    const stores = this.#outcomes.storesValue(request, task, value);
    let json = "";
    let children: readonly unknown[] | undefined;
    try {
      if (stores || logSuccess) json = stringifyPythonJson(value);
      if (this.#aftermath.followsSuccess(request)) {
        const { children: sent, ...following } = this.#aftermath.success(request, task, value, json);
        run.follow = following;
        children = sent;
      }
    } catch (error) {
      return this.#fail(run, error);
    }
    const took = performance.now() - started;
    this.#reports.ran(task.name, took);
    if (logSuccess) this.#tell(run, "info", `succeeded in ${(took / 1000).toFixed(4)}s: ${shortened(json)}`);
    const text = stores ? this.#outcomes.success(request, json, withTrail(run, children)) : "";
    this.#conclude(run, Report.SUCCESS, text, { status: "SUCCESS", value, traceback: null });
  }

  #fail(run: Run, error: unknown): void {
    const { job, request, task, started } = run;
    run.softLimit?.end();
    this.#reports.ran(task.name, performance.now() - started);
    const outcome = outcomeOf(error);
    if (outcome === "retry") return this.#retry(run, error as Retry);
    if (outcome === "reject" && !(error as Reject).requeue) {
      run.follow = this.#aftermath.unrun(request, task, "FAILURE", error);
    }
    const replacement = run.context && replacementOf(run.context, error);
    if (replacement !== undefined) {
      this.#tell(run, "info", (error as Error).message);
      run.follow = replacement;
      this.#follow(run);
      return this.#reports.add(job, Report.REPLACED, request.id, "", 0);
    }
    if (outcome !== undefined) this.#follow(run);
    if (outcome === "ignore") return this.#reports.add(job, Report.SUCCESS, request.id, "", 0);
    if (outcome === "reject") {
      const { requeue, message } = error as Reject;
      if (requeue) return this.#reports.add(job, Report.REQUEUE, request.id, "", 0);
      const text = this.#outcomes.failure(request, task, error);
      return this.#reports.add(job, Report.DEAD, request.id, text, `rejected by the task: ${message}`);
    }
    const traceback = userTrace(error);
    if (isOneOf(error, task.options.throws)) this.#tell(run, "info", `raised expected: ${String(error)}`);
    else this.#tell(run, "error", `raised unexpected: ${traceback ?? String(error)}`);
    const text = this.#outcomes.failure(request, task, error, traceback, withTrail(run));
    const conclude = () => {
      this.#conclude(run, Report.FAILURE, text, { status: "FAILURE", value: error, traceback });
    };
    const [here, others] = this.#aftermath.errbacksOf(request);
    run.follow = this.#aftermath.failure(request, task, error, traceback, others);
    if (here.length === 0) return conclude();
    const context = run.context ?? new TaskContext(request, this.#host);
    const failed = (name: string, error: unknown) =>
      this.#tell(
        run,
        "error",
        `has an error callback that failed, ${name}: ${userTrace(error) ?? String(error)}`,
      );
    const called = runningTask.run(context, callErrbacks, here, context, error, traceback, failed);
    if (called === undefined) return conclude();
    this.#running++;
    called.then(() => {
      this.#running--;
      conclude();
      this.#next();
    });
  }

  /** It has ended before, and what follows it may have been sent or not: it is sent once more, under the same ids. */
  #followAgain(run: Run, { status, result, traceback }: DecodedResult): void {
    const { request, task } = run;
    if (status === "SUCCESS" && this.#aftermath.followsSuccess(request)) {
      try {
        const { children: _, ...following } = this.#aftermath.success(request, task, result, "");
        run.follow = following;
      } catch (error) {
        // Whoever ran it the first time could send what we can't.
        this.#tell(run, "error", `is followed by what can't be sent: ${String(error)}`);
      }
    } else if (status === "FAILURE") {
      const [, others] = this.#aftermath.errbacksOf(request);
      run.follow = this.#aftermath.failure(request, task, result, traceback, others);
    } else if (status === "REVOKED") run.follow = this.#aftermath.unrun(request, task, "REVOKED", result);
    this.#follow(run);
  }

  #retry(run: Run, error: Retry): void {
    const { request, task } = run;
    const traceback = userTrace(error);
    this.#tell(run, "info", `is to run again: ${error.message}`);
    const text = this.#outcomes.retry(request, task, error, traceback);
    this.#conclude(run, Report.RETRY, text, { status: "RETRY", value: error.cause, traceback });
  }

  /** Reports a run with what follows it, once those who want to hear of its end have. */
  #conclude(run: Run, report: number, text: string, end: RunEnd): void {
    const { task, context } = run;
    if (context === undefined || !hearsOfEnds(task.options)) return this.#report(run, report, text, end);
    const failed = (hook: string, error: unknown) =>
      this.#tell(run, "error", `has a hook that failed, ${hook}: ${userTrace(error) ?? String(error)}`);
    endContext(context);
    const heard = runningTask.run(context, callEndHooks, task.options, context, end, failed);
    if (heard === undefined) return this.#report(run, report, text, end);
    this.#running++;
    heard.then(() => {
      this.#running--;
      this.#report(run, report, text, end);
      this.#next();
    });
  }

  #report(run: Run, report: number, text: string, end: RunEnd): void {
    const { job, request, task } = run;
    this.#follow(run);
    if (report === Report.FAILURE && this.#isKept(task)) {
      this.#reports.add(job, Report.DEAD, request.id, text, `the task failed: ${String(end.value)}`);
    } else {
      this.#reports.add(job, report, request.id, text, this.#outcomes.ttl(task));
    }
  }

  /** Whether the message of a task that failed is kept as a dead letter. */
  #isKept({ options }: RegisteredTask): boolean {
    const { acksLate, acksOnFailureOrTimeout } = this.#settings.defaults;
    return !(options.acksOnFailureOrTimeout ?? acksOnFailureOrTimeout) && (options.acksLate ?? acksLate);
  }

  /** Hands over what is done when a run is settled: the message of its retry, and what follows it in its workflow. */
  #follow({ job, context, follow }: Run): void {
    const retry = context && retryOf(context);
    if (retry !== undefined) {
      this.#reports.follow(job, { ...follow, messages: [retry.message, ...follow?.messages ?? []] });
      return;
    }
    const added = context === undefined ? [] : additionsOf(context);
    const following = added.length === 0 ? follow : together([...added, follow]);
    if (following !== undefined) this.#reports.follow(job, following);
  }

  #expire(run: Run): void {
    const { job, request, task } = run;
    this.#tell(run, "info", "is discarded: it has expired");
    const text = this.#outcomes.expired(request, task);
    run.follow = this.#aftermath.unrun(request, task, "REVOKED", new TaskRevokedError("expired"));
    this.#follow(run);
    this.#reports.add(job, Report.EXPIRED, request.id, text, this.#outcomes.ttl(task));
  }

  /** The message can't be run and is kept as a dead letter; its caller is told by a failure. */
  #refuse(job: Job, request: TaskRequest, error: Error, reason: string): void {
    const task = { name: request.task, options: {} };
    const follow = this.#aftermath.failure(request, task, error, null, request.errbacks ?? []);
    if (follow !== undefined) this.#reports.follow(job, follow);
    this.#reports.add(job, Report.DEAD, request.id, this.#outcomes.refusal(request, error), reason);
  }

  #storeState(request: TaskRequest, state: string, meta: unknown): void {
    const task = this.#tasks.get(request.task);
    const report = task && this.#outcomes.state(request, task, state, meta);
    if (report !== undefined) this.#output.state(report);
  }

  /** Logs a line about a run, with the task's name and id on it. */
  #tell({ request }: Run, level: LogReport["level"], text: string): void {
    const line = `Task ${request.task}[${request.id}] ${text}`;
    runningTask.run(new TaskContext(request, this.#host), this.#output.log, level, line, false);
  }
}

/** What a run failed with: where its soft limit made something else give up, that limit. */
function reasonOf({ softLimit }: Run, thrown: unknown): unknown {
  return softLimit === undefined ? thrown : softLimit.reasonOf(thrown);
}

/** What a run has sent itself comes before what follows it. */
function withTrail({ context, task }: Run, followers?: readonly unknown[]): readonly unknown[] | undefined {
  const trail = context && task.options.trail !== false ? trailOf(context) : undefined;
  if (trail === undefined) return followers;
  return followers === undefined ? trail : [...trail, ...followers];
}

const LONGEST_SHOWN = 1024;
/** Seconds without room after which a task that sends fails. */
const ROOM_PATIENCE = 30;

/** Resolves when both have; nothing where there is nothing to wait for. */
function both(one: Promise<void> | undefined, other: Promise<void> | undefined): Promise<void> | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return Promise.all([one, other]).then(() => {});
}

function shortened(json: string): string {
  return json.length > LONGEST_SHOWN ? `${json.slice(0, LONGEST_SHOWN - 3)}...` : json;
}
