/** What becomes of tasks that run where they are called (`alwaysEager`): kept here instead of being stored, for whoever waits. */
import type { Clock } from "../clock.ts";
import type { Settings } from "../config/settings.ts";
import { Report } from "../isolate/isolate.ts";
import { TaskError } from "../protocol/errors.ts";
import {
  type DecodedResult,
  decodeResult,
  encodeFailure,
  encodeSuccess,
  isReady,
} from "../protocol/result_meta.ts";
import { resultKey } from "../results/result_key.ts";
import type { ResultSource } from "./async_result.ts";
import type { Messages } from "./messages.ts";
import type { StateListener } from "./result_waiter.ts";
import { keptGroupTexts } from "./saved_groups.ts";

/** How many tasks are remembered; the oldest are forgotten. */
const LIMIT = 100_000;

/** What becomes of one task. */
export interface EagerResult {
  readonly id: string;
  /** As it would be stored; null while nothing is. */
  stored: string | null;
  /** What the task's function threw. */
  thrown?: { readonly error: unknown };
  /** Its final state; rejects with what it threw where that is asked for. */
  readonly final: Promise<DecodedResult>;
  readonly resolve: (meta: DecodedResult) => void;
  readonly reject: (error: unknown) => void;
}

/** The results of one app. */
export class EagerResults {
  readonly #settings: Settings;
  readonly #clock: Clock;
  readonly #results = new Map<string, EagerResult>();
  readonly #listening = new Map<string, Set<StateListener>>();

  constructor(settings: Settings, clock: Clock) {
    this.#settings = settings;
    this.#clock = clock;
  }

  /** Where the app's `AsyncResult`s come from. */
  source(messages: Messages): ResultSource {
    const { resultBackend, brokerUrl } = this.#settings;
    return {
      keyOf: (id) => resultKey(resultBackend ?? brokerUrl, id),
      fetch: (id) => Promise.resolve(this.#results.get(id)?.stored ?? null),
      wait: (id, signal, published) => this.#wait(id, signal, published),
      listen: (id, listener) => this.#listen(id, listener),
      messages,
      forget: (id) => Promise.resolve(this.store(id, null)),
      groups: keptGroupTexts(),
      // It ran when it was called, or runs.
      revoke: () => Promise.resolve(),
      after: (ms, run) => {
        const handle = this.#clock.after(ms, run);
        return () => this.#clock.cancel(handle);
      },
    };
  }

  /** A task of that id is about to be run: its result may be waited for. */
  expect(id: string): EagerResult {
    const known = this.#results.get(id);
    if (known !== undefined && known.stored === null) return known;
    const result = newResult(id);
    this.#results.set(id, result);
    if (this.#results.size > LIMIT) this.#results.delete(this.#results.keys().next().value!);
    return result;
  }

  /** The task of that id has thrown: the caller's error has it as its cause. */
  threw(id: string, error: unknown): void {
    const result = this.#results.get(id);
    if (result !== undefined) result.thrown = { error };
  }

  /** What a task says of its own state, or one that ends it from within. */
  tell(id: string, state: string, text: string): void {
    const result = this.#results.get(id);
    if (result !== undefined && isReady(state)) this.settle(result, Report.FAILURE, text, "");
    else this.store(id, text);
  }

  /** Keeps it, or with null nothing, and tells who listens. */
  store(id: string, text: string | null): void {
    const result = this.#results.get(id);
    if (result !== undefined) result.stored = text;
    const listeners = this.#listening.get(id);
    if (listeners === undefined || text === null) return;
    const meta = decodeResult(text);
    for (const listener of listeners) listener(meta);
  }

  /** The task has ended. */
  settle(result: EagerResult, report: number, text: string, reason: string): void {
    if (text !== "") result.stored = text;
    const { thrown } = result;
    if (thrown !== undefined && this.#settings.taskEagerPropagates) return result.reject(thrown.error);
    const meta = decodeResult(text !== "" ? text : this.#unstored(result, report, reason));
    if (thrown !== undefined && meta.result instanceof TaskError) {
      Object.defineProperty(meta.result, "cause", {
        value: thrown.error,
        configurable: true,
        writable: true,
      });
    }
    result.resolve(meta);
  }

  /** Whoever waits for it goes on waiting, for what follows under its id. */
  replace(result: EagerResult): void {
    result.stored = null;
    delete result.thrown;
  }

  /** Nothing is stored (`ignoreResult`, `Ignore`, `Reject`). Who waits for it all the same must not wait for ever. */
  #unstored({ id, thrown }: EagerResult, report: number, reason: string): string {
    const now = this.#clock.now();
    if (report === Report.SUCCESS) return encodeSuccess(id, "null", now);
    const error = report === Report.DEAD
      ? new TaskError(`its message is now a dead letter: ${reason}`)
      : thrown?.error ?? new TaskError("the task has expired", { type: "TaskRevokedError" });
    return encodeFailure(id, error, now, { taskModule: "" });
  }

  #listen(id: string, listener: StateListener): () => void {
    const listeners = this.#listening.get(id) ?? new Set();
    this.#listening.set(id, listeners.add(listener));
    const stored = this.#results.get(id)?.stored;
    if (stored) queueMicrotask(() => listeners.has(listener) && listener(decodeResult(stored)));
    return () => {
      if (listeners.delete(listener) && listeners.size === 0) this.#listening.delete(id);
    };
  }

  async #wait(id: string, signal?: AbortSignal, published?: Promise<void>): Promise<DecodedResult> {
    const result = this.#results.get(id);
    if (result === undefined) {
      throw new Error(`no task ${id} was called through this app, which runs its tasks itself (alwaysEager)`);
    }
    return await new Promise((resolve, reject) => {
      const stop = () => reject(signal?.reason);
      if (signal?.aborted) stop();
      signal?.addEventListener("abort", stop, { once: true });
      published?.catch(reject);
      result.final.then(resolve, reject).finally(() => signal?.removeEventListener("abort", stop));
    });
  }
}

function newResult(id: string): EagerResult {
  let resolve!: EagerResult["resolve"], reject!: EagerResult["reject"];
  const final = new Promise<DecodedResult>((yes, no) => (resolve = yes, reject = no));
  // Whoever wants to know of a failure waits for the result.
  final.catch(() => {});
  return { id, stored: null, final, resolve, reject };
}
