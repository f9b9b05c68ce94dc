/** What is stored of a run: the texts of its states and results, by the options of its task. From **run** to **settle**. */
import { NotRegistered, TaskRevokedError } from "../protocol/errors.ts";
import { encodeFailure, encodeState, encodeSuccess, type ResultExtra } from "../protocol/result_meta.ts";
import type { TaskRequest } from "../protocol/task_message.ts";
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
  success(request: TaskRequest, json: string): string {
    return encodeSuccess(request.id, json, this.#now(), this.#extra(request));
  }

  failure(request: TaskRequest, task: RegisteredTask, error: unknown): string {
    const { storeErrorsEvenIfIgnored } = this.#settings.defaults;
    const stores = !this.#ignored(request, task) ||
      (task.options.storeErrorsEvenIfIgnored ?? storeErrorsEvenIfIgnored);
    return stores ? this.#error(request, error, moduleOf(task.name)) : "";
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

  #ignored(request: TaskRequest, task: Pick<RegisteredTask, "options">): boolean {
    return request.ignoreResult || (task.options.ignoreResult ?? this.#settings.defaults.ignoreResult);
  }

  #error(request: TaskRequest, error: unknown, taskModule: string): string {
    return encodeFailure(request.id, error, this.#now(), {
      taskModule,
      traceback: userTrace(error),
      ...this.#extra(request),
    });
  }

  #extra(request: TaskRequest): ResultExtra | undefined {
    const { resultExtended } = this.#settings.defaults;
    if (!resultExtended && request.parentId === null && request.group === null) return undefined;
    const lineage = { parentId: request.parentId, groupId: request.group };
    if (!resultExtended) return lineage;
    const { task: name, args, kwargs, retries, routingKey: queue } = request;
    return { ...lineage, name, args, kwargs, retries, queue, worker: this.#settings.hostname };
  }
}

/** `tasks.math` of `tasks.math.add`: where Python callers look for the error's class. */
function moduleOf(task: string): string {
  return task.slice(0, Math.max(0, task.lastIndexOf(".")));
}
