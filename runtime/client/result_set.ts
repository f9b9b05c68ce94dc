/** Results of several calls, waited for as one: what a caller holds after **publish**. */
import type { AsyncResult } from "./async_result.ts";
import type { RevokeOptions } from "./control.ts";
import { type GetOptions, LONGEST_TIMER_MS, ResultTimeoutError } from "./get_options.ts";
import type { GroupResult } from "./group_result.ts";
import type { GroupTexts } from "./saved_groups.ts";

/** A part of a group: the result of a task, or of a group that ends a chain. */
export type PartResult = AsyncResult<unknown> | GroupResult<readonly unknown[]>;

/** What results together need of the app that they belong to. */
export interface GroupSource {
  /** Calls `run` after `ms`; the result takes it back. */
  after(ms: number, run: () => void): () => void;
  /** Lets tasks not run any more. */
  revoke(ids: readonly string[], options?: RevokeOptions): Promise<void>;
  /** Groups that are saved by their ids. */
  readonly groups: GroupTexts;
}

/** Results whose values are these. */
export type ResultsOf<Values extends readonly unknown[]> = {
  readonly [Index in keyof Values]: PartResult & PromiseLike<Values[Index]>;
};

/**
 * Several results as one (Celery: `ResultSet`), in their order; more may be added at any time. It can be awaited: its value is
 * the list of their values.
 *
 * @example
 * ```ts
 * import { App, ResultSet } from "../../mod.ts";
 *
 * const app = new App({ broker: "redis://localhost" });
 * const { add } = app.module<typeof import("../../tasks/math.ts")>("math");
 * const sums = new ResultSet([add(1, 2), add(3, 4)]);
 * sums.add(add(5, 6));
 * for await (const [index, sum] of sums.finished()) console.log(index, await sum);
 * console.log(await sums); // [3, 7, 11]
 * await app.disconnect();
 * ```
 */
export class ResultSet<Values extends readonly unknown[] = unknown[]> implements PromiseLike<Values> {
  #results: PartResult[];

  /** Of these results. */
  constructor(results: ResultsOf<Values>) {
    this.#results = [...results as readonly PartResult[]];
  }

  /** The results. */
  get results(): readonly PartResult[] {
    return this.#results;
  }

  /** How many there are. */
  get length(): number {
    return this.#results.length;
  }

  /** Adds a result, unless it is there already. */
  add(result: PartResult): void {
    if (!this.#results.some(({ id }) => id === result.id)) this.#results.push(result);
  }

  /** Adds results that are not there already. */
  update(results: readonly PartResult[]): void {
    const known = new Set(this.#results.map(({ id }) => id));
    for (const result of results) {
      if (known.has(result.id)) continue;
      known.add(result.id);
      this.#results.push(result);
    }
  }

  /** Takes a result out, given itself or its id; tells whether it was there. */
  remove(result: PartResult | string): boolean {
    const id = typeof result === "string" ? result : result.id;
    const left = this.#results.filter((other) => other.id !== id);
    const isOut = left.length < this.#results.length;
    this.#results = left;
    return isOut;
  }

  /** Takes all results out. */
  clear(): void {
    this.#results = [];
  }

  /** Resolves when the broker has all that is sent at once. */
  get published(): Promise<void> {
    return Promise.all(this.#results.map((result) => result.published)).then(() => {});
  }

  /**
   * The values of all results, in order; of those that are there now.
   *
   * @throws The error of the first one that is found to have failed, unless `propagate` is false: then errors stand in the
   * place of values.
   * @throws {ResultTimeoutError} When `timeout` seconds are not enough for all.
   */
  async get(options: GetOptions = {}): Promise<Values> {
    const { timeout, signal, propagate } = options;
    const limit = new AbortController();
    const over = () => limit.abort(new ResultTimeoutError(`no results of ${this.name} after ${timeout} s`));
    const cancel = timeout === undefined || timeout === Infinity || this.source === undefined
      ? () => {}
      : this.source.after(Math.min(timeout * 1000, LONGEST_TIMER_MS), over);
    const all = signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]);
    const each: GetOptions = { signal: all, propagate };
    try {
      return await Promise.all(this.#results.map((result) => result.get(each))) as unknown as Values;
    } finally {
      cancel();
      // Those that still wait beside one that has failed wait for nothing.
      limit.abort(new Error("the results are not waited for any more"));
    }
  }

  /**
   * The results in the order in which they finish, failed ones too, each with its place. (A pair, because a loop would await a
   * result that stands alone.)
   */
  async *finished(
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<[number, PartResult], void> {
    const { signal } = options;
    const done: [number, PartResult][] = [];
    let failure: { readonly error: unknown } | undefined;
    let wake = () => {};
    const results = [...this.#results];
    results.forEach((result, i) => {
      settled(result, signal)
        .then(() => void done.push([i, result]), (error) => void (failure ??= { error }))
        .then(() => wake());
    });
    for (let left = results.length; left > 0; left--) {
      while (done.length === 0) {
        if (failure !== undefined) throw failure.error;
        await new Promise<void>((resolve) => wake = resolve);
      }
      yield done.shift()!;
    }
  }

  /** Whether all are done. */
  async ready(): Promise<boolean> {
    return (await Promise.all(this.#results.map((result) => result.ready()))).every((is) => is);
  }

  /** Whether all have succeeded. */
  async successful(): Promise<boolean> {
    return (await Promise.all(this.#results.map((result) => result.successful()))).every((is) => is);
  }

  /** Whether one has failed. */
  async failed(): Promise<boolean> {
    return (await Promise.all(this.#results.map((result) => result.failed()))).some((is) => is);
  }

  /** Whether one is not done yet. */
  async waiting(): Promise<boolean> {
    return !await this.ready();
  }

  /** How many have succeeded. */
  async completedCount(): Promise<number> {
    const each = this.#results.map(async (result) => await result.successful() ? 1 : 0);
    return (await Promise.all(each)).reduce((sum: number, one) => sum + one, 0);
  }

  /** Lets none run any more, see {@linkcode AsyncResult.revoke}. Workers are told of all at once. */
  async revoke(options?: RevokeOptions): Promise<void> {
    await this.published.catch(() => {});
    await this.source?.revoke(idsOf(this.#results), options);
  }

  /** Deletes what is stored of them. */
  async forget(): Promise<void> {
    await Promise.all(this.#results.map((result) => result.forget()));
  }

  /** Makes `await results` the same as `await results.get()`. */
  then<Value = Values, Reason = never>(
    fulfilled?: ((value: Values) => Value | PromiseLike<Value>) | null,
    rejected?: ((reason: unknown) => Reason | PromiseLike<Reason>) | null,
  ): Promise<Value | Reason> {
    return this.get().then(fulfilled, rejected);
  }

  /** What it is, for errors. @internal */
  protected get name(): string {
    return `${this.#results.length} results`;
  }

  /** Where its results come from. @internal */
  get source(): GroupSource | undefined {
    return this.#results[0]?.source;
  }
}

/** The tasks, those of groups, too. */
function idsOf(results: readonly PartResult[]): string[] {
  return results.flatMap((result) => result instanceof ResultSet ? idsOf(result.results) : [result.id]);
}

/** Resolves when a result is there, however it ended. */
function settled(result: PartResult, signal: AbortSignal | undefined): Promise<unknown> {
  return result.get({ propagate: false, signal });
}
