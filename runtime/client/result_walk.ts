/**
 * Through the results of all that has followed a call: what a task has called itself, its callbacks, the next steps. A look
 * from outside, after **publish**.
 */
import type { GetOptions } from "./get_options.ts";
import { type PartResult, ResultSet } from "./result_set.ts";

/** How {@linkcode AsyncResult.iterdeps} goes through results. */
export interface DependentsOptions {
  /** Leaves out what follows those that are not done yet, instead of throwing (Celery: `intermediate`). Default false. */
  readonly intermediate?: boolean;
}

/** How {@linkcode AsyncResult.collect} waits for each result: `timeout` is for each of them. */
export type CollectOptions = GetOptions;

/** What follows a result can't be told before it is done (Celery: `IncompleteStream`). */
export class IncompleteStream extends Error {
  /** `"IncompleteStream"`. */
  override readonly name = "IncompleteStream";
}

/** A result and all that has followed, each once, with the one that it has followed; level by level. */
export async function* dependents(
  result: PartResult,
  { intermediate = false }: DependentsOptions = {},
): AsyncGenerator<[PartResult | undefined, PartResult], void> {
  const seen = new Set([result.id]);
  const left: [PartResult | undefined, PartResult][] = [[undefined, result]];
  for (let i = 0; i < left.length; i++) {
    yield left[i];
    const [, node] = left[i];
    if (!(node instanceof ResultSet) && !await node.ready()) {
      if (intermediate) continue;
      throw new IncompleteStream(
        `what follows ${node.id} is not known before it is done: wait for it, or pass intermediate`,
      );
    }
    for (const child of await node.children) {
      for (const step of stepsTo(child, seen)) {
        seen.add(step.id);
        left.push([node, step]);
      }
    }
  }
}

/** The same with the value of each, waited for. */
export async function* collected(
  result: PartResult,
  options: CollectOptions = {},
): AsyncGenerator<[PartResult, unknown], void> {
  for await (const [, node] of dependents(result)) yield [node, await node.get(options)];
}

/** The value of the last one. */
export async function leafOf(result: PartResult, options?: CollectOptions): Promise<unknown> {
  let value: unknown;
  for await ([, value] of collected(result, options));
  return value;
}

/** A result with those before it that are not known yet: of a chord's body these are its parts. */
function stepsTo(result: PartResult, seen: ReadonlySet<string>): PartResult[] {
  const steps: PartResult[] = [];
  for (
    let step: PartResult | undefined = result;
    step !== undefined && !seen.has(step.id);
    step = step.parent
  ) {
    steps.unshift(step);
  }
  return steps;
}
