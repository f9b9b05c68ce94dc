/** The results of a group of tasks, as one: what a caller holds after **publish**. */
import type { AsyncResult } from "./async_result.ts";
import type { RevokeOptions } from "./control.ts";
import { stringifyPythonJson } from "../protocol/python_json.ts";
import { type GetOptions, LONGEST_TIMER_MS, ResultTimeoutError } from "./get_options.ts";
import { drawTree, type GraphOptions } from "./result_tree.ts";
import type { ResultTuple } from "./result_tuple.ts";
import type { GroupTexts } from "./saved_groups.ts";

/** A part of a group: the result of a task, or of a group that ends a chain. */
export type PartResult = AsyncResult<unknown> | GroupResult<readonly unknown[]>;

/** What a group result needs of the app that it belongs to. */
export interface GroupSource {
  /** Calls `run` after `ms`; the result takes it back. */
  after(ms: number, run: () => void): () => void;
  /** Groups that are saved by their ids. */
  readonly groups: GroupTexts;
}

/**
 * The results of a group, in the order of its parts. It can be awaited: its value is the list of their values.
 *
 * @example
 * ```ts
 * import { App, group } from "../../mod.ts";
 *
 * const app = new App({ broker: "redis://localhost" });
 * const { add } = app.module<typeof import("../../tasks/math.ts")>("math");
 * const sums = group([add.s(1, 2), add.s(3, 4)]).delay();
 * for await (const [index, sum] of sums.finished()) console.log(index, await sum);
 * console.log(await sums); // [3, 7]
 * await app.disconnect();
 * ```
 */
export class GroupResult<Results extends readonly unknown[] = unknown[]> implements PromiseLike<Results> {
  /** The group's id. */
  readonly id: string;
  /** The results of its parts. */
  readonly results: readonly PartResult[];
  readonly #source: GroupSource;
  readonly #parent: (() => PartResult) | undefined;
  #known: PartResult | undefined;

  /** Made by {@linkcode App}. */
  constructor(
    id: string,
    results: readonly PartResult[],
    source: GroupSource,
    parent?: () => PartResult,
  ) {
    this.id = id;
    this.results = results;
    this.#source = source;
    this.#parent = parent;
  }

  /** Of the step before it in a chain. */
  get parent(): PartResult | undefined {
    return this.#known ??= this.#parent?.();
  }

  /** The same as {@linkcode GroupResult.results}. */
  get children(): readonly PartResult[] {
    return this.results;
  }

  /** How many parts it has. */
  get length(): number {
    return this.results.length;
  }

  /** Resolves when the broker has all that is sent at once. */
  get published(): Promise<void> {
    return Promise.all(this.results.map((result) => result.published)).then(() => {});
  }

  /**
   * The values of all parts, in order.
   *
   * @throws The error of the first part that is found to have failed, unless `propagate` is false: then errors stand in the
   * place of values.
   * @throws {ResultTimeoutError} When `timeout` seconds are not enough for all.
   */
  async get(options: GetOptions = {}): Promise<Results> {
    const { timeout, signal, propagate } = options;
    const limit = new AbortController();
    const over = () =>
      limit.abort(new ResultTimeoutError(`no results of the group ${this.id} after ${timeout} s`));
    const cancel = timeout === undefined || timeout === Infinity
      ? () => {}
      : this.#source.after(Math.min(timeout * 1000, LONGEST_TIMER_MS), over);
    const all = signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]);
    const each: GetOptions = { signal: all, propagate };
    try {
      return await Promise.all(this.results.map((result) => result.get(each))) as unknown as Results;
    } finally {
      cancel();
      // Those that still wait for a failed group wait for nothing.
      limit.abort(new Error("the group's results are not waited for any more"));
    }
  }

  /**
   * Its parts in the order in which they finish, failed ones too, each with its place in the group. (A pair, because a loop
   * would await a result that stands alone.)
   */
  async *finished(
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<[number, PartResult], void> {
    const { signal } = options;
    const done: [number, PartResult][] = [];
    let failure: { readonly error: unknown } | undefined;
    let wake = () => {};
    this.results.forEach((result, i) => {
      settled(result, signal)
        .then(() => void done.push([i, result]), (error) => void (failure ??= { error }))
        .then(() => wake());
    });
    for (let left = this.results.length; left > 0; left--) {
      while (done.length === 0) {
        if (failure !== undefined) throw failure.error;
        await new Promise<void>((resolve) => wake = resolve);
      }
      yield done.shift()!;
    }
  }

  /** Whether all parts are done. */
  async ready(): Promise<boolean> {
    return (await Promise.all(this.results.map((result) => result.ready()))).every((is) => is);
  }

  /** Whether all parts have succeeded. */
  async successful(): Promise<boolean> {
    return (await Promise.all(this.results.map((result) => result.successful()))).every((is) => is);
  }

  /** Whether a part has failed. */
  async failed(): Promise<boolean> {
    return (await Promise.all(this.results.map((result) => result.failed()))).some((is) => is);
  }

  /** Whether a part is not done yet. */
  async waiting(): Promise<boolean> {
    return !await this.ready();
  }

  /** How many parts have succeeded. */
  async completedCount(): Promise<number> {
    const each = this.results.map(async (result) => await result.successful() ? 1 : 0);
    return (await Promise.all(each)).reduce((sum: number, one) => sum + one, 0);
  }

  /** Its id and those of its parts, as Celery writes them (`as_tuple`). */
  asTuple(): ResultTuple {
    return [[this.id, this.parent?.asTuple() ?? null], this.results.map((result) => result.asTuple())];
  }

  /** The whole workflow as text, see {@linkcode AsyncResult.graph}. */
  graph(options?: GraphOptions): Promise<string> {
    return drawTree(this as unknown as PartResult, options);
  }

  /**
   * Saves which results it consists of, for whoever restores it by its id: `app.GroupResult.restore(id)`, or Celery. It is
   * kept as long as results are (`resultExpires`).
   *
   * @throws {WorkflowError} When the result store keeps no groups: `rpc://` does not, as in Celery.
   * @throws {BrokerUnavailableError} When the store could not be reached.
   */
  async save(): Promise<void> {
    await this.#source.groups.save(this.id, stringifyPythonJson({ result: this.asTuple() }));
  }

  /** Drops what {@linkcode GroupResult.save} has saved. The results of its parts stay. */
  async delete(): Promise<void> {
    await this.#source.groups.delete(this.id);
  }

  /** Lets no part run any more, see {@linkcode AsyncResult.revoke}. */
  async revoke(options?: RevokeOptions): Promise<void> {
    await Promise.all(this.results.map((result) => result.revoke(options)));
  }

  /** Deletes what is stored of its parts. */
  async forget(): Promise<void> {
    await Promise.all(this.results.map((result) => result.forget()));
  }

  /** Makes `await group` the same as `await group.get()`. */
  then<Value = Results, Reason = never>(
    fulfilled?: ((value: Results) => Value | PromiseLike<Value>) | null,
    rejected?: ((reason: unknown) => Reason | PromiseLike<Reason>) | null,
  ): Promise<Value | Reason> {
    return this.get().then(fulfilled, rejected);
  }
}

/** Resolves when a part is done, however it ended. */
function settled(result: PartResult, signal: AbortSignal | undefined): Promise<unknown> {
  return result.get({ propagate: false, signal });
}
