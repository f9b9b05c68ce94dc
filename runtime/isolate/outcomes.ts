/** What is stored of a run: the texts of its states and results, by the options of its task. From **run** to **settle**. */
import { NotRegistered, type Retry, TaskError, TaskRevokedError } from "../protocol/errors.ts";
import { encodeFailure, encodeState, encodeSuccess, type ResultExtra } from "../protocol/result_meta.ts";
import type { BadMessageError, TaskRequest } from "../protocol/task_message.ts";
import { unreachedAfter } from "../workflow/chord_place.ts";
import type { IsolateSettings, StateReport } from "./isolate.ts";
import type { RegisteredTask } from "./task_definition.ts";
import { userTrace } from "./user_trace.ts";

/** Writes results. A text of `""` stores nothing. */
export class Outcomes {
  readonly #settings: IsolateSettings;
  readonly #now: () => number;

  constructor(settings: IsolateSettings, now: () => number) {
    this.#settings = settings;
    this.#now = now;
  }

  /** Whether the value that a task returned is stored. */
  storesValue(request: TaskRequest, task: RegisteredTask, value: unknown): boolean {
    const { storeUndefined } = this.#settings.defaults;
    return !this.#ignored(request, task) &&
      (value !== undefined || (task.options.storeUndefined ?? storeUndefined));
  }

  /** `json` is the value as a serializer wrote it. */
  success(request: TaskRequest, json: string, children?: readonly unknown[]): string {
    const extra = this.#extra(request);
    return encodeSuccess(
      request.id,
      json,
      this.#now(),
      children === undefined ? extra : { ...extra, children },
    );
  }

  /**
   * Of the tasks that would have followed one that failed: they will not run, and whoever waits for them is told why. No try
   * of theirs it is (-1): should the task succeed after all, because it is run again, then they do run.
   */
  neverReached(
    request: TaskRequest,
    task: Pick<RegisteredTask, "name" | "options">,
    error: unknown,
    traceback: string | null,
  ): StateReport[] {
    if (!this.#storesErrors(request, task)) return [];
    const options = { taskModule: moduleOf(task.name), traceback, retries: -1 };
    return unreachedAfter(request).ids.map((id) => {
      const text = encodeFailure(id, error, this.#now(), options);
      return [id, "FAILURE", text, this.ttl(task), request.replyTo ?? undefined, request.id];
    });
  }

  failure(
    request: TaskRequest,
    task: Pick<RegisteredTask, "name" | "options">,
    error: unknown,
    traceback = userTrace(error),
    children?: readonly unknown[],
  ): string {
    return this.#storesErrors(request, task)
      ? this.#error(request, error, moduleOf(task.name), traceback, children)
      : "";
  }

  /** Of a run that asks for another one: what made it so, with the trace of where it asked. */
  retry(request: TaskRequest, task: RegisteredTask, error: Retry, traceback: string | null): string {
    if (!this.#storesErrors(request, task)) return "";
    const extra = this.#extra(request);
    if (error.cause === undefined) {
      const nothing = { status: "RETRY", result: null, dateDone: null, children: [] };
      return encodeState({ ...nothing, taskId: request.id, traceback, ...extra });
    }
    return encodeFailure(request.id, error.cause, this.#now(), {
      taskModule: moduleOf(task.name),
      state: "RETRY",
      traceback,
      ...extra,
    });
  }

  /** Of a message whose arguments don't fit its task, or whose task is none of ours. */
  refusal(request: TaskRequest, error: Error): string {
    if (request.ignoreResult) return "";
    return this.#error(
      request,
      error,
      error instanceof NotRegistered ? error.module : moduleOf(request.task),
    );
  }

  /** Of a message that can't be read, where it says at least whose it is. */
  unreadable({ id, message }: BadMessageError): string {
    if (id === undefined) return "";
    const error = new TaskError(`the message can't be read: ${message}`, { type: "InvalidTaskError" });
    return encodeFailure(id, error, this.#now(), { taskModule: "celery.exceptions", traceback: null });
  }

  expired(request: TaskRequest, task: RegisteredTask): string {
    return this.revoked(request, task, "expired");
  }

  /** Of a task that is not run, or not to its end: `why` is `revoked`, `terminated` or `expired`. */
  revoked(request: TaskRequest, task: Pick<RegisteredTask, "options">, why: string): string {
    if (this.#ignored(request, task)) return "";
    return encodeFailure(request.id, new TaskRevokedError(why), this.#now(), {
      taskModule: "celery.exceptions",
      state: "REVOKED",
      ...this.#extra(request),
    });
  }

  /** A state on the way to the result, or undefined where none is stored. */
  state(request: TaskRequest, task: RegisteredTask, state: string, meta: unknown): StateReport | undefined {
    if (this.#ignored(request, task)) return undefined;
    const text = encodeState({
      status: state,
      result: meta,
      traceback: null,
      children: [],
      dateDone: null,
      taskId: request.id,
      ...this.#extra(request),
    });
    return [request.id, state, text, this.ttl(task), request.replyTo ?? undefined];
  }

  /** Seconds to keep a task's result. */
  ttl(task: Pick<RegisteredTask, "options">): number {
    return task.options.resultExpires ?? this.#settings.defaults.resultExpires;
  }

  /** Whether the store may know how an earlier delivery of this message ended. Outside of a worker nobody could ask it. */
  dedupes(request: TaskRequest, task: RegisteredTask): boolean {
    if (this.#settings.hostname === "") return false;
    return (task.options.dedupe ?? this.#settings.defaults.dedupe) && !this.#ignored(request, task);
  }

  #storesErrors(request: TaskRequest, task: Pick<RegisteredTask, "options">): boolean {
    const { storeErrorsEvenIfIgnored } = this.#settings.defaults;
    return !this.#ignored(request, task) ||
      (task.options.storeErrorsEvenIfIgnored ?? storeErrorsEvenIfIgnored);
  }

  #ignored(request: TaskRequest, task: Pick<RegisteredTask, "options">): boolean {
    return request.ignoreResult || (task.options.ignoreResult ?? this.#settings.defaults.ignoreResult);
  }

  #error(
    request: TaskRequest,
    error: unknown,
    taskModule: string,
    traceback = userTrace(error),
    children?: readonly unknown[],
  ): string {
    const options = { taskModule, traceback, ...this.#extra(request) };
    return encodeFailure(
      request.id,
      error,
      this.#now(),
      children === undefined ? options : { ...options, children },
    );
  }

  #extra(request: TaskRequest): ResultExtra | undefined {
    const { resultExtended } = this.#settings.defaults;
    const { retries } = request;
    if (!resultExtended && request.parentId === null && request.group === null && retries === 0) {
      return undefined;
    }
    // Which try it is of tells whether a redelivered one is done with.
    const lineage = { parentId: request.parentId, groupId: request.group, retries };
    if (!resultExtended) return lineage;
    const { task: name, args, kwargs, routingKey: queue } = request;
    return { ...lineage, name, args, kwargs, queue, worker: this.#settings.hostname };
  }
}

/** `tasks.math` of `tasks.math.add`: where Python callers look for the error's class. */
export function moduleOf(task: string): string {
  return task.slice(0, Math.max(0, task.lastIndexOf(".")));
}
