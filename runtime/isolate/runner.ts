/**
 * Runs the jobs of one isolate. A job's way is one function a step: claim, decode, check, **run**; then it ends in one of the
 * ways of `run_end.ts`, with a report.
 */
import type { RelayAnswer } from "../channel/relay.ts";
import { type Clock, systemClock } from "../clock.ts";
import { NotRegistered } from "../protocol/errors.ts";
import {
  BadMessageError,
  decodeTask,
  type MessageLimits,
  type TaskRequest,
} from "../protocol/task_message.ts";
import { Aftermath } from "./aftermath.ts";
import { ArgumentsError, bindArguments } from "./arguments.ts";
import type { ClaimBoard, Job } from "./claim_board.ts";
import { type IsolateSettings, Report } from "./isolate.ts";
import { JobQueue } from "./job_queue.ts";
import { MemoryGauge } from "./memory_gauge.ts";
import { Outcomes } from "./outcomes.ts";
import { type RecallAnswer, Recollection } from "./recollection.ts";
import { Reports } from "./reports.ts";
import { reservedTasks } from "./reserved_tasks.ts";
import { isFinal, retriedError } from "./retry.ts";
import { type Run, RunEnds } from "./run_end.ts";
import { RunHost, type RunnerOutput } from "./run_host.ts";
import { SoftLimit } from "./soft_limit.ts";
import { correspondenceOf, runningTask, TaskContext, timersOf } from "./task_context.ts";
import type { RegisteredTask } from "./task_definition.ts";
import { isThenable, startWithHook } from "./task_hooks.ts";
import { type LimitsOfTask, TimeLimits } from "./time_limits.ts";
import { unreadable } from "./user_trace.ts";

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
  readonly #ends: RunEnds;
  /** Those of Celery's own names. */
  readonly #reserved = reservedTasks((name) => {
    const task = this.#find(name);
    if (task === undefined) throw new NotRegistered(name);
    return task;
  });
  readonly #host: RunHost;
  readonly #recollection: Recollection;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #timeLimits: TimeLimits;
  readonly #memory: MemoryGauge | undefined;
  readonly #queue: JobQueue;
  #running = 0;

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
    const now = () => clock.now();
    this.#outcomes = new Outcomes(settings, now);
    const aftermath = new Aftermath({
      settings,
      outcomes: this.#outcomes,
      now,
      find: (name) => this.#find(name),
      state: (state) => output.state(state),
      unsent: ({ task, id }, error) => {
        const line = `Task ${task}[${id}] has an error callback that can't be sent: ${String(error)}`;
        output.log("error", line, false);
      },
    });
    this.#recollection = new Recollection((request) => output.relay(request));
    const parts = { settings, outcomes: this.#outcomes, aftermath, now };
    this.#host = new RunHost({ ...parts, output, tasks: () => this.#tasks });
    this.#ends = new RunEnds({
      ...parts,
      reports: this.#reports,
      host: this.#host,
      hold: (done, then) => this.#hold(done, then),
    });
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
    if (answer.kind === "recalled") this.#recollection.hear(answer);
    else this.#host.hear(answer);
  }

  /** Posts what is finished. */
  flush(): void {
    this.#reports.flush();
  }

  #next(): void {
    let now = systemClock.monotonic();
    while (this.#running < this.#settings.slots && this.#queue.claim(this.#running)) {
      this.#decode(this.#queue.job, this.#queue.text, now);
      now = systemClock.monotonic();
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
    this.#ends.refuse(job, request, error, `the task ${request.task} is not registered here`);
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
      else this.#ends.again(run, result);
      this.#next();
    });
  }

  #check(run: Run): void {
    const { job, request, task } = run;
    const now = this.#clock.now();
    if (request.expires !== null && request.expires <= now) return this.#ends.expire(run);
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
      return this.#ends.refuse(job, request, error, error.message);
    }
    this.#run(run, args);
  }

  #run(run: Run, args: unknown[]): void {
    const { request, task } = run;
    this.#reports.before(task.name);
    if (task.options.trackStarted ?? this.#settings.defaults.trackStarted) {
      this.#host.storeState(request, "STARTED", {
        pid: this.#settings.pid,
        hostname: this.#settings.hostname,
      });
    }
    this.#limit(run);
    const context = run.context = new TaskContext(request, this.#host, run.softLimit, run.text);
    let value: unknown;
    let isPromised: boolean;
    try {
      value = task.options.onBeforeStart !== undefined
        ? runningTask.run(context, startWithHook, task, context, args)
        : task.options.bind
        ? runningTask.run(context, task.run, context, ...args)
        : runningTask.run(context, task.run, ...args);
      isPromised = isThenable(value);
    } catch (thrown) {
      const error = this.#errorOf(run, context, thrown);
      return this.#finish(run, context, isFinal(error), () => this.#ends.fail(run, error));
    }
    if (!isPromised) {
      // The usual task costs nothing more.
      if (correspondenceOf(context) === undefined && timersOf(context) === undefined) {
        return this.#ends.succeed(run, value);
      }
      return this.#finish(run, context, true, () => this.#ends.succeed(run, value));
    }
    this.#running++;
    const leave = (isFinal: boolean, settle: () => void) => {
      this.#running--;
      this.#finish(run, context, isFinal, settle);
      this.#next();
    };
    // What is no promise of the language may answer twice, or throw: this one does neither.
    Promise.resolve(value).then(
      (value) => leave(true, () => this.#ends.succeed(run, value)),
      (thrown) => {
        const error = this.#errorOf(run, context, thrown);
        leave(isFinal(error), () => this.#ends.fail(run, error));
      },
    );
  }

  /** What a run failed with: where its soft limit made something else give up, that limit; or its retry. */
  #errorOf({ task, softLimit }: Run, context: TaskContext, thrown: unknown): unknown {
    try {
      const reason = softLimit === undefined ? thrown : softLimit.reasonOf(thrown);
      return retriedError(context, task, reason, this.#random);
    } catch (why) {
      return unreadable(why);
    }
  }

  /** From here on its time counts. */
  #limit(run: Run): void {
    const { job, request, task: { options } } = run;
    const hard = this.#timeLimits.hard(request, options), soft = this.#timeLimits.soft(request, options);
    if (hard > 0) this.#board.limit(job, hard);
    if (soft === 0) return;
    const tell = () => this.#host.tell(request, "warning", `has exceeded its soft time limit of ${soft} s`);
    run.softLimit = new SoftLimit(soft, this.#clock, tell);
  }

  /** Settles a run once what it has sent and set is held, so that whoever has its result can have all of that, too. */
  #finish(run: Run, context: TaskContext, isFinal: boolean, settle: () => void): void {
    const stored = both(correspondenceOf(context)?.finish(isFinal), timersOf(context)?.finish());
    if (stored === undefined) return settle();
    this.#hold(stored, settle, (error) => this.#ends.fail(run, error));
  }

  /** Keeps a run's slot until something is done. */
  #hold(done: Promise<void>, then: () => void, failed?: (error: unknown) => void): void {
    this.#running++;
    const leave = (go: () => void) => {
      this.#running--;
      go();
      this.#next();
    };
    done.then(() => leave(then), failed && ((error) => leave(() => failed(error))));
  }
}

/** Resolves when both have; nothing where there is nothing to wait for. */
function both(one: Promise<void> | undefined, other: Promise<void> | undefined): Promise<void> | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return Promise.all([one, other]).then(() => {});
}
