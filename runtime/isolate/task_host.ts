/**
 * What a task's context is given by what surrounds it, an isolate or the caller's own process, and what it takes from the
 * task. Around **run**.
 */
import type { CancelAnswer } from "../hub/port.ts";
import type { Following } from "../protocol/chord.ts";
import type { SignatureJson } from "../protocol/signature.ts";
import type { TaskRequest } from "../protocol/task_message.ts";
import type { Correspondence } from "./correspondence.ts";
import type { PlannedRetry, RetryOptions } from "./retry.ts";
import type { RunTimers } from "./timers.ts";

/** Where a task's log lines go. */
export interface TaskLog {
  /** For whoever looks for a fault. */
  debug(...values: unknown[]): void;
  /** What goes as it should. */
  info(...values: unknown[]): void;
  /** What somebody should know of. */
  warning(...values: unknown[]): void;
  /** What went wrong. */
  error(...values: unknown[]): void;
}

/** What surrounds a run: the isolate, or the caller's own process. */
export interface TaskHost {
  readonly hostname: string;
  readonly log: TaskLog;
  /** Stores a state of the running task's own. */
  storeState(request: TaskRequest, state: string, meta: unknown): void;
  /** What the running task says and hears beside its result. */
  correspond(request: TaskRequest): Correspondence;
  /**
   * Plans one more try of the task whose message is `text`.
   * @throws When it may not be tried again.
   */
  retry(request: TaskRequest, text: string, options: RetryOptions): PlannedRetry;
  /**
   * Plans what takes the running task's place.
   * @throws {WorkflowError} For what can't.
   */
  replace(request: TaskRequest, signature: SignatureJson): Following;
  /**
   * Plans one more part of the running task's chord, the `position`th that it adds.
   * @throws {WorkflowError} When it is a part of none.
   */
  addToChord(request: TaskRequest, signature: SignatureJson, position: number): AddedPart;
  /** The timers that the running task sets. @throws {Error} Where there is no hub for them. */
  timers(request: TaskRequest): RunTimers;
}

/** A part that a task adds to its chord, with the id of its result. */
export interface AddedPart extends Following {
  readonly id: string;
  /** The same as Celery writes it. */
  readonly children: readonly unknown[];
}

/** A signature whose arguments are all there: made by `.s()`, `app.signature`, `chain` and the like. */
export interface CompleteSignature<Result> {
  /** For the compiler alone. */
  readonly takes?: (args: []) => void;
  /** For the compiler alone. */
  readonly gives?: Result;
  /** Celery's own form of it. */
  toJSON(): SignatureJson;
}

/** Timers that other tasks have set, or this one. */
export interface TaskTimers {
  /**
   * Takes a timer back by its id, wherever it is: in this worker, in another one, in the broker. After `"cancelled"` its
   * callback is not called. `"too late"`: it was due already, is cancelled, or never was; `"unknown"`: its worker gives no
   * answer.
   */
  cancel(id: string): Promise<CancelAnswer>;
}
