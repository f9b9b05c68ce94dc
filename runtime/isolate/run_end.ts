/**
 * How runs end, each in one of these ways: what is stored, what follows, and what its report says. From **run** to **settle**.
 */
import { inspect } from "node:util";
import { systemClock } from "../clock.ts";
import { type Following, together } from "../protocol/chord.ts";
import { outcomeOf, type Reject, type Retry, TaskRevokedError } from "../protocol/errors.ts";
import { stringifyPythonJson } from "../protocol/python_json.ts";
import type { DecodedResult } from "../protocol/result_meta.ts";
import type { TaskRequest } from "../protocol/task_message.ts";
import type { Aftermath } from "./aftermath.ts";
import type { Job } from "./claim_board.ts";
import { callErrbacks } from "./errbacks.ts";
import { isOneOf } from "./error_kind.ts";
import { type IsolateSettings, type LogReport, Report } from "./isolate.ts";
import type { Outcomes } from "./outcomes.ts";
import type { Reports } from "./reports.ts";
import type { RunHost } from "./run_host.ts";
import type { SoftLimit } from "./soft_limit.ts";
import {
  additionsOf,
  endContext,
  leaveContext,
  replacementOf,
  retryOf,
  runningTask,
  TaskContext,
  trailOf,
} from "./task_context.ts";
import type { RegisteredTask } from "./task_definition.ts";
import { callEndHooks, hearsOfEnds, type RunEnd } from "./task_hooks.ts";
import { unreadable, userTrace } from "./user_trace.ts";

/** Characters of a value that a log line shows. */
const LONGEST_SHOWN = 1024;

/** One run of a task. */
export interface Run {
  readonly job: Job;
  readonly text: string;
  readonly request: TaskRequest;
  readonly task: RegisteredTask;
  /** By `systemClock`. */
  readonly started: number;
  /** Once its function is called. */
  context: TaskContext | undefined;
  softLimit: SoftLimit | undefined;
  /** What is done when it is settled, beside its retry. */
  follow: Following | undefined;
}

/** What the ends of runs have of their runner. */
export interface RunEndsParts {
  readonly settings: IsolateSettings;
  readonly outcomes: Outcomes;
  readonly aftermath: Aftermath;
  readonly reports: Reports;
  readonly host: RunHost;
  /** Keeps a run's slot until `done`, which never rejects, and goes on with `then`. */
  hold(done: Promise<void>, then: () => void): void;
}

export class RunEnds {
  readonly #settings: IsolateSettings;
  readonly #outcomes: Outcomes;
  readonly #aftermath: Aftermath;
  readonly #reports: Reports;
  readonly #host: RunHost;
  readonly #hold: RunEndsParts["hold"];

  constructor({ settings, outcomes, aftermath, reports, host, hold }: RunEndsParts) {
    this.#settings = settings;
    this.#outcomes = outcomes;
    this.#aftermath = aftermath;
    this.#reports = reports;
    this.#host = host;
    this.#hold = hold;
  }

  /** It returned `value`. */
  succeed(run: Run, value: unknown): void {
    const { request, task, started } = run;
    const { logSuccess } = this.#settings;
    if (run.context !== undefined) leaveContext(run.context);
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
      return this.fail(run, error);
    }
    const took = systemClock.monotonic() - started;
    this.#reports.ran(task.name, took);
    if (logSuccess) this.#tell(run, "info", `succeeded in ${(took / 1000).toFixed(4)}s: ${shortened(json)}`);
    const text = stores ? this.#outcomes.success(request, json, withTrail(run, children)) : "";
    this.#conclude(run, Report.SUCCESS, text, { status: "SUCCESS", value, traceback: null });
  }

  /** It threw `error`. */
  fail(run: Run, error: unknown): void {
    try {
      this.#fail(run, error);
    } catch (why) {
      this.#fail(run, unreadable(why));
    }
  }

  #fail(run: Run, error: unknown): void {
    const { job, request, task, started } = run;
    if (run.context !== undefined) leaveContext(run.context);
    run.softLimit?.end();
    this.#reports.ran(task.name, systemClock.monotonic() - started);
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
    if (isOneOf(error, task.options.throws)) this.#tell(run, "info", `raised expected: ${shown(error)}`);
    else this.#tell(run, "error", `raised unexpected: ${traceback ?? shown(error)}`);
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
    if (called === undefined) conclude();
    else this.#hold(called, conclude);
  }

  /** It has ended before, and what follows it may have been sent or not: it is sent once more, under the same ids. */
  again(run: Run, { status, result, traceback }: DecodedResult): void {
    const { request, task } = run;
    this.#tell(run, "info", `is not run again: its result is stored already, ${status}`);
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
    this.#reports.add(run.job, Report.SUCCESS, request.id, "", 0);
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
    const tell = () => this.#report(run, report, text, end);
    if (heard === undefined) tell();
    else this.#hold(heard, tell);
  }

  #report(run: Run, report: number, text: string, end: RunEnd): void {
    const { job, request, task } = run;
    this.#follow(run);
    if (report === Report.FAILURE && this.#isKept(task)) {
      this.#reports.add(job, Report.DEAD, request.id, text, `the task failed: ${shown(end.value)}`);
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

  /** Its time had passed before it started. */
  expire(run: Run): void {
    const { job, request, task } = run;
    this.#tell(run, "info", "is discarded: it has expired");
    const text = this.#outcomes.expired(request, task);
    run.follow = this.#aftermath.unrun(request, task, "REVOKED", new TaskRevokedError("expired"));
    this.#follow(run);
    this.#reports.add(job, Report.EXPIRED, request.id, text, this.#outcomes.ttl(task));
  }

  /** The message can't be run and is kept as a dead letter; its caller is told by a failure. */
  refuse(job: Job, request: TaskRequest, error: Error, reason: string): void {
    const task = { name: request.task, options: {} };
    const follow = this.#aftermath.failure(request, task, error, null, request.errbacks ?? []);
    if (follow !== undefined) this.#reports.follow(job, follow);
    this.#reports.add(job, Report.DEAD, request.id, this.#outcomes.refusal(request, error), reason);
  }

  #tell({ request }: Run, level: LogReport["level"], text: string): void {
    this.#host.tell(request, level, text);
  }
}

/** What a run has sent itself comes before what follows it. */
function withTrail({ context, task }: Run, followers?: readonly unknown[]): readonly unknown[] | undefined {
  const trail = context && task.options.trail !== false ? trailOf(context) : undefined;
  if (trail === undefined) return followers;
  return followers === undefined ? trail : [...trail, ...followers];
}

/** Without a trace; what is thrown may be no error. */
function shown(error: unknown): string {
  const isPlain = typeof error === "object" && error !== null && !(error instanceof Error);
  return isPlain ? shortened(inspect(error, { breakLength: Infinity })) : String(error);
}

function shortened(json: string): string {
  return json.length > LONGEST_SHOWN ? `${json.slice(0, LONGEST_SHOWN - 3)}...` : json;
}
