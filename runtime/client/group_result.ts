/** The results of a group of tasks, as one: what a caller holds after **publish**. */
import { stringifyPythonJson } from "../protocol/python_json.ts";
import { type GroupSource, type PartResult, ResultSet, type ResultsOf } from "./result_set.ts";
import { drawTree, type GraphOptions } from "./result_tree.ts";
import type { ResultTuple } from "./result_tuple.ts";
import { collected, type CollectOptions, dependents, type DependentsOptions, leafOf } from "./result_walk.ts";

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
export class GroupResult<Results extends readonly unknown[] = unknown[]> extends ResultSet<Results> {
  /** The group's id. */
  readonly id: string;
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
    super(results as unknown as ResultsOf<Results>);
    this.id = id;
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

  /** Its id and those of its parts, as Celery writes them (`as_tuple`). */
  asTuple(): ResultTuple {
    return [[this.id, this.parent?.asTuple() ?? null], this.results.map((result) => result.asTuple())];
  }

  /** The whole workflow as text, see {@linkcode AsyncResult.graph}. */
  graph(options?: GraphOptions): Promise<string> {
    return drawTree(this as unknown as PartResult, options);
  }

  /** Itself and all that has followed, one by one, see {@linkcode AsyncResult.iterdeps}. */
  iterdeps(options?: DependentsOptions): AsyncGenerator<[PartResult | undefined, PartResult], void> {
    return dependents(this as unknown as PartResult, options);
  }

  /** Itself and all that follows, each with its value, see {@linkcode AsyncResult.collect}. */
  collect(options?: CollectOptions): AsyncGenerator<[PartResult, unknown], void> {
    return collected(this as unknown as PartResult, options);
  }

  /** The value of the last one that has followed, see {@linkcode AsyncResult.getLeaf}. */
  getLeaf(options?: CollectOptions): Promise<unknown> {
    return leafOf(this as unknown as PartResult, options);
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

  /** What it is, for errors. @internal */
  protected override get name(): string {
    return `the group ${this.id}`;
  }

  /** Where its results come from. @internal */
  override get source(): GroupSource {
    return this.#source;
  }
}
